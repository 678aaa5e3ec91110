"""Notes on the limits of a cost table's numbers, for both pages and commands."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from phasewise_analyzer.coverage import coverage
from phasewise_analyzer.findings import Totals
from phasewise_reports.words import usd
from phasewise_store import reanalyses
from phasewise_store.store import Store


def state_of_analysis(store: Store, source: str | None = None) -> tuple[str, ...]:
    """Return a sentence each where calls wait for their analysis, and for one by another version.

    The second is about one data set where it is given.
    """
    return (*_waiting(store), *_outdated(store, source))


def _waiting(store: Store) -> Iterator[str]:
    found = coverage(store)
    if not found.is_complete:
        yield (
            f"{found.analysed_calls:,} of {found.calls:,} calls are analysed; the rest is in "
            "progress."
        )


def _outdated(store: Store, source: str | None) -> Iterator[str]:
    found = reanalyses.under_way(store, source)
    if found is not None:
        yield (
            f"Numbers as of {found.analysed_at:%Y-%m-%d %H:%M} UTC, analysed with "
            f"{found.version}; {found.done_calls:,} of {found.calls:,} calls re-analysed so far."
        )


def caveats(rows: Iterable[Totals]) -> tuple[str, ...]:
    """Return a sentence for each fact that is not known about the calls in these rows."""
    totals = tuple(rows)
    calls = sum(row.calls for row in totals)
    timed = sum(row.timed_calls for row in totals)
    found = []
    if unknown := sum(row.cache_unknown_calls for row in totals):
        found.append(
            f"{unknown:,} of {calls:,} calls do not report cached tokens (shown as -, drawn "
            f"hatched). They are priced as their provider's rule would charge{_range(totals)}."
        )
    if unpriced := calls - sum(row.priced_calls for row in totals):
        found.append(f"{unpriced:,} calls have no known price; sums in $ leave them out.")
    if unpriced := sum(row.unpriced_side_calls for row in totals):
        found.append(f"{unpriced:,} embedding or reranking calls have no known price.")
    if untimed := sum(row.calls - row.timed_calls for row in totals if row.timed_calls):
        found.append(
            f"{untimed:,} calls are not in the time split: their split into prefill and decode is "
            "not known."
        )
    if estimated := sum(row.estimated_calls for row in totals):
        found.append(
            f"{estimated:,} of {timed:,} timed calls do not report the time to their first token. "
            "Their time split is an estimate, with an interval per call."
        )
    if ambiguous := sum(row.ambiguous_calls for row in totals):
        found.append(
            f"{ambiguous:,} calls do not say whether their input tokens include cached tokens. "
            "They are taken as not included, and these calls are marked."
        )
    return tuple(found)


def _range(totals: Sequence[Totals]) -> str:
    """Write between which sums the input bill lies; nothing where no price is known."""
    low = [row.prefill_low_usd for row in totals if row.prefill_low_usd is not None]
    high = [row.prefill_high_usd for row in totals if row.prefill_high_usd is not None]
    if not low:
        return ""
    return (
        f"; prefill is between {usd(sum(low, Decimal(0)))} $ (all that was sent before cached) and "
        f"{usd(sum(high, Decimal(0)))} $ (nothing cached)"
    )

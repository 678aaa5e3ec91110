"""Notes on the limits of a cost table's numbers, for both pages and commands."""

from collections.abc import Iterable

from phasewise_analyzer.coverage import coverage
from phasewise_analyzer.findings import Totals
from phasewise_store.store import Store


def waiting(store: Store) -> tuple[str, ...]:
    """Give a sentence where calls wait for their analysis; none where all are in the sums."""
    found = coverage(store)
    if found.is_complete:
        return ()
    return (f"{found.analysed_calls:,} of {found.calls:,} calls analysed; the rest will follow.",)


def caveats(rows: Iterable[Totals]) -> tuple[str, ...]:
    """Return a sentence for each fact that is not known about the calls in these rows."""
    totals = tuple(rows)
    calls = sum(row.calls for row in totals)
    timed = sum(row.timed_calls for row in totals)
    found = []
    if unknown := sum(row.cache_unknown_calls for row in totals):
        found.append(
            f"{unknown:,} of {calls:,} calls do not report cached tokens (shown as -). They are "
            'priced as uncached, so "avoidable" is an upper bound.'
        )
    if unpriced := calls - sum(row.priced_calls for row in totals):
        found.append(f"{unpriced:,} calls have no known price; sums in $ leave them out.")
    if unpriced := sum(row.unpriced_side_calls for row in totals):
        found.append(f"{unpriced:,} embedding or reranking calls have no known price.")
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

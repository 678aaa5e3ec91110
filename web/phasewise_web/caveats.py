"""What a reader of a cost table must know about its numbers; pages and commands say the same."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from phasewise_analyzer.findings import Totals
from phasewise_reports.words import usd


def caveats(rows: Iterable[Totals]) -> tuple[str, ...]:
    """Give a sentence for each thing that is not known of the calls in these rows."""
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
        found.append(f"{unpriced:,} calls name no model with a known price; sums leave them out.")
    if unpriced := sum(row.unpriced_side_calls for row in totals):
        found.append(f"{unpriced:,} embeddings or rerankings have no known price.")
    if untimed := sum(row.calls - row.timed_calls for row in totals if row.timed_calls):
        found.append(
            f"{untimed:,} calls are in no time: how their wait splits into prefill and decode is "
            "not known."
        )
    if estimated := sum(row.estimated_calls for row in totals):
        found.append(
            f"{estimated:,} of {timed:,} timed calls did not show their first token: their split "
            "in time is an estimate, with an interval for each call."
        )
    if ambiguous := sum(row.ambiguous_calls for row in totals):
        found.append(
            f"{ambiguous:,} calls leave it open whether their input counts the cached tokens; "
            "they are taken as not counted, and marked."
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

"""What a reader of a cost table must know about its numbers; pages and commands say the same."""

from collections.abc import Iterable

from phasewise_analyzer.findings import Totals


def caveats(rows: Iterable[Totals]) -> tuple[str, ...]:
    """Give a sentence for each thing that is not known of the calls in these rows."""
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
        found.append(f"{unpriced:,} calls name no model with a known price; sums leave them out.")
    if unpriced := sum(row.unpriced_side_calls for row in totals):
        found.append(f"{unpriced:,} embeddings or rerankings have no known price.")
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

"""Write numbers for people: a dash for what is not known, never a zero."""

from decimal import Decimal

from phasewise_analyzer.findings import Totals

UNKNOWN = "-"


def count(value: int | None) -> str:
    """Write a whole number with thousands apart."""
    return UNKNOWN if value is None else f"{value:,}"


def usd(value: Decimal | None) -> str:
    """Write money: two digits, four where it is below a dollar."""
    if value is None:
        return UNKNOWN
    return f"{value:,.4f}" if abs(value) < 1 else f"{value:,.2f}"


def share(part: int | Decimal | None, whole: int | Decimal | None) -> str:
    """Write a share in percent."""
    if part is None or not whole:
        return UNKNOWN
    return f"{100 * part / whole:.1f}"


def seconds(value_ns: int | None) -> str:
    """Write a time in seconds."""
    return UNKNOWN if value_ns is None else f"{value_ns / 1e9:,.1f}"


def percent(value: float) -> str:
    """Write a fraction in percent."""
    return f"{100 * value:.2f}"


COST_COLUMNS = (
    ("calls", True),
    ("input", True),
    ("cached %", True),
    ("avoidable %", True),
    ("output", True),
    ("prefill $", True),
    ("decode $", True),
    ("total $", True),
)
"""the columns of a cost table behind its key"""


def cost_cells(totals: Totals) -> list[str]:
    """Write one row under COST_COLUMNS."""
    known = totals.cache_unknown_calls < totals.calls
    return [
        count(totals.calls),
        count(totals.input_tokens),
        share(totals.cache_read_tokens, totals.input_tokens) if known else UNKNOWN,
        share(totals.avoidable_tokens, totals.input_tokens),
        count(totals.output_tokens),
        usd(totals.prefill_usd),
        usd(totals.decode_usd),
        usd(totals.total_usd),
    ]


def cost_footnotes(rows: list[Totals]) -> list[str]:
    """Say what a reader of a cost table must know about its numbers."""
    calls = sum(row.calls for row in rows)
    notes = []
    if unknown := sum(row.cache_unknown_calls for row in rows):
        notes.append(
            f"{unknown:,} of {calls:,} calls do not say what a cache served: their prefill is "
            "priced as if nothing was, and what is avoidable is the most that could be"
        )
    if unpriced := calls - sum(row.priced_calls for row in rows):
        notes.append(f"{unpriced:,} of {calls:,} calls name no model with a known price")
    if ambiguous := sum(row.ambiguous_calls for row in rows):
        notes.append(f"{ambiguous:,} calls leave it open whether input counts cached tokens")
    return notes

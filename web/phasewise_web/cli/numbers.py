"""The columns of a cost table on the command line."""

from decimal import Decimal

from phasewise_analyzer.findings import Totals
from phasewise_reports.words import UNKNOWN, count, percent, tokens, usd


def share(part: int | Decimal | None, whole: int | Decimal | None) -> str:
    """Write a share in percent; a dash where either is not known."""
    return percent(None if part is None or not whole else float(part) / float(whole))


COST_COLUMNS = (
    ("calls", True),
    ("input", True),
    ("cached %", True),
    ("missed %", True),
    ("not reported %", True),
    ("wasted %", True),
    ("output", True),
    ("prefill $", True),
    ("decode $", True),
    ("total $", True),
)
"""the columns of a cost table after its key"""


def cost_cells(totals: Totals) -> list[str]:
    """Write one row under COST_COLUMNS."""
    known = totals.cache_unknown_calls < totals.calls
    return [
        count(totals.calls),
        tokens(totals.input_tokens),
        share(totals.cache_read_tokens, totals.input_tokens) if known else UNKNOWN,
        share(totals.missed_tokens, totals.input_tokens) if known else UNKNOWN,
        share(totals.unreported_tokens, totals.input_tokens),
        share(totals.wasted_tokens, totals.input_tokens),
        tokens(totals.output_tokens),
        usd(totals.prefill_usd),
        usd(totals.decode_usd),
        usd(totals.total_usd),
    ]

"""Number formats of pages and reports: the filters of the templates.

A dash means not known, never zero.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from phasewise_reports.glossary import meaning

UNKNOWN = "-"

Number = int | float


def count(value: int | None) -> str:
    """Write a whole number, thousands apart."""
    return UNKNOWN if value is None else f"{value:,}"


def tokens(value: int | None) -> str:
    """Write a number of tokens: exact below ten thousand, in k and M above."""
    if value is None:
        return UNKNOWN
    if value < 10_000:
        return f"{value:,}"
    if value < 9_995_000:
        return f"{value / 1e3:,.0f} k"
    return f"{value / 1e6:,.1f} M"


def usd(value: Decimal | float | None) -> str:
    """Write money: cents from a dollar up, more digits below."""
    if value is None:
        return UNKNOWN
    size = abs(float(value))
    if not size or size >= 1:
        return f"{value:,.2f}"
    return f"{value:.4f}" if size >= 1e-4 else f"{value:.6f}"


def seconds(value_ns: int | None) -> str:
    """Write a time in seconds."""
    if value_ns is None:
        return UNKNOWN
    value = value_ns / 1e9
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def percent(value: Number | None) -> str:
    """Write a share in percent, without the sign."""
    return UNKNOWN if value is None else f"{100 * value:.1f}"


def short(value: Number | None) -> str:
    """Write a measured number with four digits."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def signed(value: Number | None) -> str:
    """Write a difference with its sign."""
    if value is None:
        return UNKNOWN
    if not value:
        return "0"
    return f"{value:+,.0f}" if abs(value) >= 10_000 else f"{value:+.3g}"


def setting_value(value: object) -> str:
    """Write the value of an engine's setting: yes, no, a number, a name."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def moment(value_ns: int | None) -> str:
    """Write a date and time in UTC; a trace's own clock, which begins at 0, is none."""
    if value_ns is None or value_ns < 10**18 // 4:
        return UNKNOWN
    return datetime.fromtimestamp(value_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def lifetime(value_s: float) -> str:
    """Write how long something lives."""
    if value_s == float("inf"):
        return "forever"
    for size, unit in ((3600, "h"), (60, "min")):
        if value_s >= size:
            return f"{value_s / size:g} {unit}"
    return f"{value_s:g} s"


def cell(value: str) -> str:
    """Write a text into a cell of a Markdown table."""
    return " ".join(value.split()).replace("|", "\\|")


def excerpt(value: str | None, characters: int) -> str:
    """Write the beginning of a text in one line."""
    whole = " ".join((value or "")[: 2 * characters].split())
    cut = len(whole) > characters or len(value or "") > 2 * characters
    return f"{whole[:characters]}…" if cut else whole


FILTERS: Mapping[str, Callable[..., str]] = {
    one.__name__: one
    for one in (
        *(count, tokens, usd, seconds, percent, short, signed, moment, lifetime, cell, meaning),
        setting_value,
    )
}

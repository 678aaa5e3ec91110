"""Read checked values from a parsed record, with error messages that a user can act on."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

Record = Mapping[str, object]

MAX_TOKENS = 10**9
"""no model reads or writes a billion tokens in a call"""

_MAX_SECONDS = 10**9
"""thirty years: longer than any trace, and far below what 64 bits of nanoseconds hold"""

_FRACTION = re.compile(r"(.*:\d\d)[.,](\d+)(Z?|[+-][\d:]+)$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class BadRecordError(ValueError):
    """A record that cannot be used; the text says which field and why.  Never leaves importers."""


def record(value: object, what: str) -> Record:
    """Take an object."""
    if not isinstance(value, dict):
        raise BadRecordError(f"{what} is {_kind(value)}, not an object")
    return cast("Record", value)


def items(fields: Record, key: str) -> list[object]:
    """Take a list."""
    value = _present(fields, key)
    if not isinstance(value, list):
        raise BadRecordError(f"`{key}` is {_kind(value)}, not a list")
    return value


def text(fields: Record, key: str) -> str:
    """Take a text."""
    value = _present(fields, key)
    if not isinstance(value, str):
        raise BadRecordError(f"`{key}` is {_kind(value)}, not text")
    return value


def optional_text(fields: Record, key: str) -> str | None:
    """Take a text that may be missing or null."""
    return None if fields.get(key) is None else text(fields, key)


def count(fields: Record, key: str) -> int:
    """Take a number of tokens: whole, from 0 to a billion."""
    value = _number(fields, key)
    if value != int(value):
        raise BadRecordError(f"`{key}` is {value}, not a whole number")
    if value > MAX_TOKENS:
        raise BadRecordError(f"`{key}` is {value}, more than any model accepts")
    return int(value)


def count_or_zero(fields: Record, key: str) -> int:
    """Take a number of tokens that is zero where it is missing or null."""
    return 0 if fields.get(key) is None else count(fields, key)


def optional_usd(fields: Record, key: str) -> float | None:
    """Take an amount of money that may be missing or null."""
    return None if fields.get(key) is None else float(_number(fields, key))


def span_ns(fields: Record, key: str, *, unit_ns: int) -> int:
    """Take a length of time, given in units of so many nanoseconds; nanoseconds come out."""
    value = _number(fields, key)
    if value * unit_ns > _MAX_SECONDS * 10**9:
        raise BadRecordError(f"`{key}` is {value}, longer than thirty years")
    return value * unit_ns if isinstance(value, int) else round(value * unit_ns)


def optional_span_ns(fields: Record, key: str, *, unit_ns: int) -> int | None:
    """Take a length of time that may be missing or null."""
    return None if fields.get(key) is None else span_ns(fields, key, unit_ns=unit_ns)


def moment_ns(fields: Record, key: str, *, unit_ns: int) -> int:
    """Take a time since the Unix epoch, given in units of so many nanoseconds."""
    value = _number(fields, key)
    if value * unit_ns >= 2**63:
        raise BadRecordError(f"`{key}` is {value}, later than the year 2262")
    return value * unit_ns if isinstance(value, int) else round(value * unit_ns)


def iso_ns(fields: Record, key: str) -> int:
    """Take a date and time in ISO 8601; without a time zone it is read as UTC."""
    value = text(fields, key)
    whole, fraction, zone = _parts_of_time(value)
    try:
        when = datetime.fromisoformat(whole + zone)
        since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise BadRecordError(f"`{key}` is {value[:40]!r}, not a date and time") from error
    found = since // timedelta(seconds=1) * 10**9 + int(fraction.ljust(9, "0")[:9])
    if not 0 <= found < 2**63:
        raise BadRecordError(f"`{key}` is {value[:40]!r}, outside the years 1970 to 2262")
    return found


def _parts_of_time(value: str) -> tuple[str, str, str]:
    """Split off a second's fraction, of which Python keeps six digits, and the time zone."""
    found = _FRACTION.match(value)
    return (found[1], found[2], found[3]) if found else (value, "0", "")


def optional_iso_ns(fields: Record, key: str) -> int | None:
    """Take a date and time that may be missing or null."""
    return None if fields.get(key) is None else iso_ns(fields, key)


def _present(fields: Record, key: str) -> object:
    if key not in fields:
        raise BadRecordError(f"`{key}` is missing")
    return fields[key]


def _number(fields: Record, key: str) -> int | float:
    """Take a number that is finite and not negative."""
    value = _present(fields, key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecordError(f"`{key}` is {_kind(value)}, not a number")
    if not math.isfinite(value):
        raise BadRecordError(f"`{key}` is {value}")
    if value < 0:
        raise BadRecordError(f"`{key}` is negative: {value}")
    return value


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)

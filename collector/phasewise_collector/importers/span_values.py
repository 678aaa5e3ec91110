"""Read ids, times and attributes of spans as other tools write them."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import orjson

from phasewise_collector.importers.fields import BadRecordError
from phasewise_collector.otlp.spans import LATEST_NS, Value, moment

TRACE_DIGITS = 32
SPAN_DIGITS = 16
_HEX = frozenset("0123456789abcdef")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={1,2}")
_ISO = re.compile(r"(.*?:\d\d)[.,](\d+)(.*)")
_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
"""a number below the first is a moment in units of so many nanoseconds; above all, in nanoseconds:
seconds until the year 5138, milliseconds from 1973, and so on"""


def identity(value: object, digits: int) -> str | None:
    """Return an id of OpenTelemetry's length; None where there is none.

    Hex stays (a shorter one gets its zeros back, as Jaeger leaves them out), base64 is protobuf's
    own JSON, a UUID is 32 digits; any other name is hashed.
    """
    if isinstance(value, bool) or value in (None, "", 0):
        return None
    if isinstance(value, int):
        return format(value, f"0{digits}x")[-digits:]
    name = str(value)
    plain = name.lower().removeprefix("0x").removeprefix("tr-").replace("-", "")
    if plain and len(plain) <= digits and _HEX.issuperset(plain):
        return plain.rjust(digits, "0") if plain.strip("0") else None
    raw = from_base64(name, digits)
    return (
        raw or hashlib.blake2b(name.encode(errors="replace"), digest_size=digits // 2).hexdigest()
    )


def from_base64(name: str, digits: int) -> str | None:
    """Return an id that is base64 in hex; None where it is none."""
    if not _BASE64.fullmatch(name):
        return None
    try:
        raw = base64.b64decode(name, altchars=b"-_" if set(name) & {"-", "_"} else None)
    except binascii.Error:
        return None
    return raw.hex() if len(raw) == digits // 2 and any(raw) else None


def moment_ns(value: object) -> int | None:
    """Return a moment in nanoseconds since 1970; None where there is none.

    ISO 8601 (without a zone it is UTC), [seconds, nanoseconds], or a number, whose size says its
    unit. Raises BadRecordError for anything else.
    """
    if value in (None, "", 0, []):
        return None
    if isinstance(value, str) and not _is_number(value):
        return _of_iso(value)
    if isinstance(value, list):
        return moment(_of_pair(value))
    number = _number(value)
    unit_ns = next((unit for below, unit in _UNITS if number < below), 1)
    return moment(int(number * unit_ns) if isinstance(number, int) else round(number * unit_ns))


def length_ns(value: object, unit_ns: int) -> int | None:
    """Give a length of time: [seconds, nanoseconds], text such as `2.5s`, or a number of units."""
    if value in (None, ""):
        return None
    if isinstance(value, list):
        return _of_pair(value)
    if isinstance(value, str) and value.endswith("s"):
        value, unit_ns = value.removesuffix("s"), 10**9
    return min(max(0, round(_number(value) * unit_ns)), LATEST_NS)


def _of_pair(value: Sequence[object]) -> int:
    if len(value) != 2:
        raise BadRecordError(f"{value!r} is not a [seconds, nanoseconds] time")
    return int(_number(value[0])) * 10**9 + int(_number(value[1]))


def _of_iso(value: str) -> int:
    text = value.strip().removesuffix(" UTC").replace(" +", "+")
    parts = _ISO.fullmatch(text)
    whole, fraction, zone = parts.groups() if parts else (text, "", "")
    try:
        when = datetime.fromisoformat(whole + zone)
    except ValueError:
        raise BadRecordError(f"{value[:40]!r} is not a date and time") from None
    seconds = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    return moment(seconds * 10**9 + int(fraction[:9].ljust(9, "0")))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(value: object) -> int | float:
    if isinstance(value, str):
        value = int(value) if value.isdecimal() else float(value) if _is_number(value) else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise BadRecordError(f"{str(value)[:40]!r} is not a time")
    return value


def attributes(value: object) -> dict[str, Value]:
    """Return attributes that stand as an object, or as a list of pairs of name and value."""
    if isinstance(value, Mapping):
        return {str(name): one for name, one in value.items()}
    found: dict[str, Value] = {}
    for pair in value if isinstance(value, list) else ():
        if isinstance(pair, Mapping) and "key" in pair:
            found[str(pair["key"])] = _of_any(pair.get("value"))
        elif isinstance(pair, list) and len(pair) == 2:
            found[str(pair[0])] = pair[1]
    return found


def _of_any(value: object) -> Value:
    """Return a value that may stand as OTLP has it, `{"stringValue": …}`."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return _plain(value)
    ((name, inner),) = value.items()
    kind = str(name).replace("_", "").lower()
    if kind == "intvalue":
        return int(_number(inner))
    if kind in ("arrayvalue", "kvlistvalue") and isinstance(inner, Mapping):
        items = inner.get("values") or []
        return attributes(items) if kind == "kvlistvalue" else [_of_any(one) for one in items]
    return _plain(inner if kind in ("stringvalue", "boolvalue", "doublevalue") else value)


def _plain(value: object) -> Value:
    found: Value = value  # type: ignore[assignment]  # JSON holds nothing else
    return found


_NESTED = ("llm", "openinference", "input", "output", "session", "user", "tool", "gen_ai")
_LISTED = ("llm.input_messages", "llm.output_messages", "llm.tools", "llm.prompts")


def flattened(found: Mapping[str, Value]) -> dict[str, Value]:
    """Return nested attributes, as OpenInference's stand in tables, under their dotted names."""
    made: dict[str, Value] = {}
    for name, value in found.items():
        nested = isinstance(value, dict) and name in _NESTED
        if nested or (isinstance(value, list) and name in _LISTED):
            made.update(_dotted(name, value))
        else:
            made[name] = value
    return made


def _dotted(name: str, value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _dotted(f"{name}.{key}", inner)
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        for place, inner in enumerate(value):
            yield from _dotted(f"{name}.{place}", inner)
    elif value is not None:
        yield name, value


def as_text(value: object) -> str:
    """Return a value as an attribute holds it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, default=str)

"""OTLP JSON: ids in hex of either case, enums as numbers, 64-bit integers as text or number.

Unknown fields are ignored, as the specification requires.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping

import orjson

from phasewise_collector.otlp import leniency
from phasewise_collector.otlp.signals import ITEMS, Checked, Signal
from phasewise_collector.otlp.spans import (
    KINDS,
    STATUSES,
    Event,
    MalformedError,
    ReceivedPoint,
    ReceivedRecord,
    ReceivedSpan,
    Request,
    Value,
    moment,
)

HEX_DIGITS = frozenset("0123456789abcdef")
TRACE_ID_DIGITS = 32
SPAN_ID_DIGITS = 16
FIELDS: dict[Signal, str] = {
    "traces": "resourceSpans",
    "metrics": "resourceMetrics",
    "logs": "resourceLogs",
}
"""where a request of each signal has its items"""
_OTHER_NAMES = (b'_unix_nano"', b'"string_value"')
_MOST_NAMES = 5
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
"""of 64 bits, with or without a sign: no store holds more"""
_FORMS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


def check(signal: Signal, body: bytes) -> Checked:
    """Count what a request carries; raises MalformedError when it is none of that signal.

    A request that is not quite OTLP is read once more, leniently: whoever sends well pays nothing.
    """
    try:
        document = _parse(body)
        accepted, rejected = _count(signal, document)
    except MalformedError:
        return _check_leniently(signal, body)
    if (not document or accepted or rejected) and not has_other_names(body):
        return Checked(accepted, rejected)
    return _check_leniently(signal, body)


def _check_leniently(signal: Signal, body: bytes) -> Checked:
    lenient = leniency.of_body(signal, body, can_read)
    accepted, rejected = _count(signal, lenient.document)
    reasons = lenient.remarks
    if rejected:
        reasons.append(f"{rejected} {ITEMS[signal]} have no valid trace id and span id")
    if not accepted:
        _refuse_other_signals(signal, _parse(body))
        if lenient.broken or lenient.dropped:
            raise MalformedError("; ".join([*reasons, *lenient.broken]))
        if lenient.unknown and not rejected:
            reasons.append(nothing(signal, lenient.unknown))
        return Checked(0, rejected, "; ".join(reasons))
    mended = orjson.dumps(lenient.document)
    return Checked(
        accepted, rejected + lenient.dropped, "; ".join([*reasons, *lenient.broken]), mended=mended
    )


def nothing(signal: Signal, unknown: Iterable[str]) -> str:
    """Say that a body holds something, and nothing of it can be read."""
    names = ", ".join(f"`{name}`" for name in sorted(unknown)[:_MOST_NAMES])
    return f"no {ITEMS[signal]} were found in `{FIELDS[signal]}`, and {names} is not a known field"


def can_read(signal: Signal, document: Mapping[str, object]) -> None:
    """Raise MalformedError where a request cannot be read."""
    _count(signal, document)


def has_other_names(body: bytes) -> bool:
    """Return whether a body has protobuf's own names, which hide times and values from us."""
    return any(name in body for name in _OTHER_NAMES)


def _count(signal: Signal, document: Mapping[str, object]) -> tuple[int, int]:
    _refuse_other_signals(signal, document)
    if signal == "traces":
        request = read(document)
        return len(request.spans), request.rejected
    reading = read_logs if signal == "logs" else _read_metrics
    return sum(1 for _ in reading(document)), 0


def _refuse_other_signals(signal: Signal, document: Mapping[str, object]) -> None:
    """Raise where a request plainly is of another signal: unknown fields would hide all of it."""
    for other, field in FIELDS.items():
        if other == signal or FIELDS[signal] in document:
            continue
        if field in document or f"resource_{other.replace('traces', 'spans')}" in document:
            raise MalformedError(f"these are {other}; post them to /v1/{other}, not /v1/{signal}")


def decode(body: bytes) -> Request:
    """Decode a trace request; raises MalformedError."""
    return read(_parse(body))


def read(document: Mapping[str, object]) -> Request:
    """Read the object of a trace request; raises MalformedError."""
    spans: list[ReceivedSpan] = []
    rejected = 0
    try:
        for group in _objects(document, "resourceSpans"):
            for span in _spans(group):
                if span is None:
                    rejected += 1
                else:
                    spans.append(span)
    except RecursionError:
        raise MalformedError("an attribute's value is nested too deeply") from None
    return Request(tuple(spans), rejected)


def decode_logs(body: bytes) -> Iterator[ReceivedRecord]:
    """Decode a logs request; raises MalformedError."""
    return read_logs(_parse(body))


def read_logs(document: Mapping[str, object]) -> Iterator[ReceivedRecord]:
    """Read the object of a logs request; raises MalformedError."""
    try:
        for group in _objects(document, "resourceLogs"):
            resource = _attributes(_object(group, "resource"))
            for scoped in _objects(group, "scopeLogs"):
                scope = _object(scoped, "scope")
                name, version = _text(scope, "name"), _text(scope, "version")
                for record in _objects(scoped, "logRecords"):
                    yield ReceivedRecord(
                        time_ns=_moment(record, "timeUnixNano")
                        or _moment(record, "observedTimeUnixNano"),
                        event_name=_text(record, "eventName"),
                        body=_value(_object(record, "body")),
                        attributes=_attributes(record),
                        trace_id=_hex(record, "traceId", TRACE_ID_DIGITS),
                        span_id=_hex(record, "spanId", SPAN_ID_DIGITS),
                        resource=resource,
                        scope_name=name,
                        scope_version=version,
                        severity=_text(record, "severityText"),
                        dropped_attributes=_integer(record, "droppedAttributesCount"),
                    )
    except RecursionError:
        raise MalformedError("an attribute's value is nested too deeply") from None


def decode_metrics(body: bytes) -> Iterator[ReceivedPoint]:
    """Decode a metrics request; raises MalformedError."""
    return _read_metrics(_parse(body))


def _read_metrics(document: Mapping[str, object]) -> Iterator[ReceivedPoint]:
    try:
        for group in _objects(document, "resourceMetrics"):
            resource = _attributes(_object(group, "resource"))
            for scoped in _objects(group, "scopeMetrics"):
                for metric in _objects(scoped, "metrics"):
                    yield from _points(metric, resource)
    except RecursionError:
        raise MalformedError("an attribute's value is nested too deeply") from None


def _points(metric: Mapping[str, object], resource: Mapping[str, Value]) -> Iterator[ReceivedPoint]:
    name = _text(metric, "name")
    for form in _FORMS:
        for point in _objects(_object(metric, form), "dataPoints"):
            value: float | None = None
            if point.get("asDouble") is not None:
                value = _double(point, "asDouble")
            elif point.get("asInt") is not None:
                value = float(_integer(point, "asInt"))
            time_ns = _moment(point, "timeUnixNano")
            yield ReceivedPoint(name, time_ns, value, _attributes(point), resource)


def _parse(body: bytes) -> Mapping[str, object]:
    try:
        parsed = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"the body is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise MalformedError("the body is JSON, but not an object")
    return parsed


def _spans(group: Mapping[str, object]) -> Iterator[ReceivedSpan | None]:
    resource = _attributes(_object(group, "resource"))
    for scoped in _objects(group, "scopeSpans"):
        scope = _object(scoped, "scope")
        name, version = _text(scope, "name"), _text(scope, "version")
        for span in _objects(scoped, "spans"):
            trace_id = _hex(span, "traceId", TRACE_ID_DIGITS)
            span_id = _hex(span, "spanId", SPAN_ID_DIGITS)
            if trace_id is None or span_id is None:
                yield None
                continue
            status = _object(span, "status")
            yield ReceivedSpan(
                trace_id=trace_id,
                span_id=span_id,
                parent_span_id=_hex(span, "parentSpanId", SPAN_ID_DIGITS),
                name=_text(span, "name"),
                kind=_choice(span, "kind", KINDS),
                start_ns=_moment(span, "startTimeUnixNano"),
                end_ns=_moment(span, "endTimeUnixNano"),
                attributes=_attributes(span),
                events=tuple(
                    Event(
                        _text(event, "name"),
                        _moment(event, "timeUnixNano"),
                        _attributes(event),
                    )
                    for event in _objects(span, "events")
                ),
                resource=resource,
                scope_name=name,
                scope_version=version,
                status=_choice(status, "code", STATUSES),
                status_message=_text(status, "message"),
                dropped_attributes=_integer(span, "droppedAttributesCount"),
            )


def _objects(holder: Mapping[str, object], field: str) -> list[Mapping[str, object]]:
    found = holder.get(field)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise MalformedError(f"`{field}` must be a list of objects")
    return found


def _object(holder: Mapping[str, object], field: str) -> Mapping[str, object]:
    found = holder.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise MalformedError(f"`{field}` must be an object")
    return found


def _text(holder: Mapping[str, object], field: str) -> str:
    found = holder.get(field)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise MalformedError(f"`{field}` must be text")
    return found


def _integer(holder: Mapping[str, object], field: str) -> int:
    found = holder.get(field)
    if found is None:
        return 0
    try:
        return _whole(found)
    except (TypeError, ValueError, OverflowError):
        raise MalformedError(
            f"`{field}` must be a whole number of 64 bits, as text or number"
        ) from None


def _moment(holder: Mapping[str, object], field: str) -> int:
    return moment(_integer(holder, field))


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    number = int(value)
    if (isinstance(value, float) and number != value) or not _LEAST <= number <= _MOST:
        raise ValueError
    return number


def _choice(holder: Mapping[str, object], field: str, names: tuple[str, ...]) -> str:
    number = _integer(holder, field)
    return names[number] if 0 <= number < len(names) else names[0]


def _hex(holder: Mapping[str, object], field: str, digits: int) -> str | None:
    """Return the id in lower case; None when it is absent, of another length, or all zero."""
    found = _text(holder, field).lower()
    good = len(found) == digits and HEX_DIGITS.issuperset(found) and found.strip("0")
    return found if good else None


def _attributes(holder: Mapping[str, object]) -> dict[str, Value]:
    return {
        _text(pair, "key"): _value(_object(pair, "value"))
        for pair in _objects(holder, "attributes")
    }


def _value(value: Mapping[str, object]) -> Value:
    for field, read in _VALUES.items():
        if value.get(field) is not None:
            return read(value, field)
    return None


def _boolean(value: Mapping[str, object], field: str) -> bool:
    found = value[field]
    if not isinstance(found, bool):
        raise MalformedError(f"`{field}` must be true or false")
    return found


def _double(value: Mapping[str, object], field: str) -> float:
    # protobuf's JSON writes what JSON has no number for as "NaN", "Infinity", "-Infinity"
    found = value[field]
    try:
        if isinstance(found, str | int | float) and not isinstance(found, bool):
            return float(found)
    except ValueError:
        pass
    raise MalformedError(f"`{field}` must be a number")


def _bytes(value: Mapping[str, object], field: str) -> bytes:
    try:
        return base64.b64decode(_text(value, field), validate=True)
    except binascii.Error as error:
        raise MalformedError(f"`{field}` must be base64: {error}") from None


def _array(value: Mapping[str, object], field: str) -> list[Value]:
    return [_value(item) for item in _objects(_object(value, field), "values")]


def _pairs(value: Mapping[str, object], field: str) -> dict[str, Value]:
    pairs = _objects(_object(value, field), "values")
    return {_text(pair, "key"): _value(_object(pair, "value")) for pair in pairs}


_VALUES: dict[str, Callable[[Mapping[str, object], str], Value]] = {
    "stringValue": _text,
    "intValue": _integer,
    "doubleValue": _double,
    "boolValue": _boolean,
    "arrayValue": _array,
    "kvlistValue": _pairs,
    "bytesValue": _bytes,
}

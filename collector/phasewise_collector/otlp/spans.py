"""A span as OTLP carries it, in any encoding."""

from collections.abc import Mapping
from dataclasses import dataclass

Value = str | bool | int | float | bytes | list["Value"] | dict[str, "Value"] | None
"""an attribute's value"""

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
LATEST_NS = 1 << 62
"""in the year 2116: with room above it, so that differences of moments fit 64 bits, too"""


def moment(time_ns: int) -> int:
    """Return a time that the store can hold; OTLP times are unsigned, and clocks can be broken."""
    return min(max(0, time_ns), LATEST_NS)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one moment of a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span with valid ids, before any dialect has looked at it."""

    trace_id: str
    """32 lower-case hex digits"""
    span_id: str
    """16 lower-case hex digits"""
    parent_span_id: str | None
    name: str
    kind: str
    """one of KINDS"""
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    events: tuple[Event, ...] = ()
    resource: Mapping[str, Value] | None = None
    """attributes of whatever sent the span; the same object for all spans of a resource"""
    scope_name: str = ""
    scope_version: str = ""
    status: str = "unset"
    """one of STATUSES"""
    status_message: str = ""
    dropped_attributes: int = 0


@dataclass(frozen=True, slots=True)
class ReceivedRecord:
    """One log record."""

    time_ns: int
    event_name: str
    """the field of OTLP 1.5; older senders write it into the attribute `event.name`"""
    body: Value
    attributes: Mapping[str, Value]
    trace_id: str | None = None
    """of the span that it belongs to; None where it names none, or no valid one"""
    span_id: str | None = None
    resource: Mapping[str, Value] | None = None
    scope_name: str = ""
    scope_version: str = ""
    severity: str = ""
    dropped_attributes: int = 0


@dataclass(frozen=True, slots=True)
class ReceivedPoint:
    """One data point of a metric."""

    metric: str
    time_ns: int
    value: float | None
    """None where the point is more than one number: a histogram, a summary"""
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One decoded export request of traces."""

    spans: tuple[ReceivedSpan, ...]
    rejected: int = 0
    """spans without valid ids, which can never be stored"""


class MalformedError(Exception):
    """The bytes are not what their content type says; the text tells the sender where and why."""

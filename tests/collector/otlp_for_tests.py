"""Spans made for tests, as requests an exporter would send; and an acceptor over loopback."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

START_NS = 1_760_000_000 * 10**9


@dataclass(frozen=True)
class Made:
    """One span, in numbers that are easy to read in a test."""

    span: int
    parent: int | None = None
    name: str = "ChatCompletion"
    attributes: Mapping[str, object] = field(default_factory=dict)
    events: Sequence[tuple[str, int] | tuple[str, int, Mapping[str, object]]] = ()
    """name, milliseconds after the start"""
    start_ms: int = 0
    ms: int = 100
    trace: int = 1
    service: str = "program"
    error: str | None = None
    scope: str = ""
    version: str = ""


def request(*spans: Made) -> ExportTraceServiceRequest:
    """Put spans into one export request."""
    made = ExportTraceServiceRequest()
    for one in spans:
        group = made.resource_spans.add()
        group.resource.attributes.append(pair("service.name", one.service))
        scoped = group.scope_spans.add()
        scoped.scope.name, scoped.scope.version = one.scope, one.version
        span = scoped.spans.add()
        span.trace_id = one.trace.to_bytes(16, "big")
        span.span_id = one.span.to_bytes(8, "big")
        if one.parent is not None:
            span.parent_span_id = one.parent.to_bytes(8, "big")
        span.name = one.name
        span.start_time_unix_nano = START_NS + one.start_ms * 10**6
        span.end_time_unix_nano = span.start_time_unix_nano + one.ms * 10**6
        span.attributes.extend(pair(name, value) for name, value in one.attributes.items())
        for name, after_ms, *said in one.events:
            event = span.events.add()
            for attributes in said:
                event.attributes.extend(pair(key, value) for key, value in attributes.items())
            event.name = name
            event.time_unix_nano = span.start_time_unix_nano + after_ms * 10**6
        if one.error is not None:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = one.error
    return made


def pair(name: str, value: object) -> KeyValue:
    """Make an attribute."""
    return KeyValue(key=name, value=value_of(value))


def value_of(value: object) -> AnyValue:
    """Write a value of any kind."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        made = AnyValue()
        made.array_value.values.extend(map(value_of, value))
        return made
    if isinstance(value, dict):
        made = AnyValue()
        made.kvlist_value.values.extend(pair(key, inner) for key, inner in value.items())
        return made
    return AnyValue(string_value=str(value))


@dataclass
class Running:
    """An acceptor process that is ready."""

    process: "subprocess.Popen[bytes]"
    address: str
    folder: Path


@contextmanager
def acceptor(folder: Path) -> Iterator[Running]:
    """Run the acceptor on a free port for the length of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            *(sys.executable, "-m", "phasewise_collector.acceptor"),
            *("--socket", str(listener.fileno()), "--log", str(folder)),
        ]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Running(process, f"http://127.0.0.1:{listener.getsockname()[1]}", folder)
        finally:
            process.kill()
            process.communicate()

"""Requests for load tests: small spans, and calls of agents whose prompts repeat their history.

Small: 2 KB of text and twelve attributes a span, traces of ten spans. LLM: about 10 KB a span;
sessions of ten calls, each with the whole history as `gen_ai.input.messages`, of which about nine
tenths were sent by the call before.
"""

import gzip
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WORDS = [f"{a}{b}" for a in ("plan", "read", "call", "tool", "step", "code") for b in range(40)]
SYSTEM_BYTES = 6000
TURN_BYTES = 500
CALLS_A_SESSION = 10
SMALL_TEXT_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Load:
    """Requests ready to be sent."""

    name: str
    bodies: tuple[bytes, ...]
    """protobuf, not compressed"""
    spans: int
    ids: frozenset[str]
    """`trace-span` in hex"""

    @property
    def raw_bytes(self) -> int:
        """All requests together."""
        return sum(map(len, self.bodies))


def small(spans: int, a_request: int = 500, seed: int = 1) -> Load:
    """Make spans with little in them."""
    chance = random.Random(seed)
    made = [_small_span(chance, number) for number in range(spans)]
    return _load("2 KB spans", made, a_request)


def llm(spans: int, a_request: int = 100, seed: int = 2) -> Load:
    """Make calls of agents."""
    chance = random.Random(seed)
    made: list[Span] = []
    while len(made) < spans:
        made += _session(chance)
    return _load("10 KB LLM spans", made[:spans], a_request)


def lmcache(folder: Path) -> Load:
    """Make a span of every call of the lmcache-agent-trace sessions: completions of one text."""
    made: list[Span] = []
    for path in sorted(folder.rglob("*.jsonl.gz")):
        trace_id = os.urandom(16)
        for line in gzip.decompress(path.read_bytes()).splitlines():
            call = json.loads(line)
            span = _span("text_completion m", trace_id)
            span.attributes.extend(
                [
                    _text("gen_ai.operation.name", "text_completion"),
                    _text("gen_ai.request.model", "m"),
                    _text("gen_ai.conversation.id", str(call["session_id"])),
                    _text("gen_ai.prompt", call["input"]),
                    _text("gen_ai.completion", call["output"]),
                ]
            )
            made.append(span)
    return _load("lmcache sessions", made, 50)


def _load(name: str, spans: list[Span], a_request: int) -> Load:
    bodies = []
    for start in range(0, len(spans), a_request):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        for key, value in (
            ("service.name", "load"),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.language", "python"),
            ("host.name", "bench"),
        ):
            group.resource.attributes.append(_text(key, value))
        scoped = group.scope_spans.add()
        scoped.scope.name = "load"
        scoped.spans.extend(spans[start : start + a_request])
        bodies.append(request.SerializeToString())
    ids = frozenset(f"{one.trace_id.hex()}-{one.span_id.hex()}" for one in spans)
    return Load(name, tuple(bodies), len(spans), ids)


def _small_span(chance: random.Random, number: int) -> Span:
    span = _span("step", (number // 10).to_bytes(8, "big") + b"\1" * 8)
    span.attributes.extend(
        [
            _text("component", "load"),
            _text("text", _words(chance, SMALL_TEXT_BYTES)),
            _number("number", number),
            _text("server.address", "127.0.0.1"),
            _number("server.port", 80),
        ]
    )
    return span


def _session(chance: random.Random) -> Iterator[Span]:
    trace_id = os.urandom(16)
    session = trace_id.hex()
    messages = [turn(chance, "user")]
    system = json.dumps([{"type": "text", "content": _words(chance, SYSTEM_BYTES)}])
    for _ in range(CALLS_A_SESSION):
        span = _span("chat gpt-4o", trace_id)
        read = (len(system) + sum(len(str(one)) for one in messages)) // 5 + chance.randrange(99)
        span.attributes.extend(
            [
                _text("gen_ai.operation.name", "chat"),
                _text("gen_ai.provider.name", "openai"),
                _text("gen_ai.request.model", "gpt-4o"),
                _text("gen_ai.conversation.id", session),
                _text("gen_ai.agent.name", "worker"),
                _number("gen_ai.usage.input_tokens", read),
                _number("gen_ai.usage.output_tokens", chance.randrange(60, 200)),
                _number("gen_ai.usage.cache_read.input_tokens", 1024),
                _text("gen_ai.system_instructions", system),
                _text("gen_ai.input.messages", json.dumps(messages)),
            ]
        )
        answer = turn(chance, "assistant")
        span.attributes.append(_text("gen_ai.output.messages", json.dumps([answer])))
        yield span
        messages += [answer, turn(chance, "user")]


def _span(name: str, trace_id: bytes) -> Span:
    now_ns = time.time_ns()
    return Span(
        trace_id=trace_id,
        span_id=os.urandom(8),
        name=name,
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=now_ns - 5_000_000,
        end_time_unix_nano=now_ns,
    )


def turn(chance: random.Random, role: str) -> dict[str, object]:
    """Make a message as OpenTelemetry writes it."""
    return _message(role, _words(chance, TURN_BYTES))


def _message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _words(chance: random.Random, size: int) -> str:
    return " ".join(chance.choices(WORDS, k=size // 7))


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _number(key: str, value: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=value))

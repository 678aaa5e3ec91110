"""Log records: OpenTelemetry's GenAI events, Claude Code's and Codex's telemetry."""

import json
from collections.abc import Mapping
from pathlib import Path

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from phasewise_collector.loader import Loader
from phasewise_store import log_progress, reads
from phasewise_store.log_progress import Account
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import START_NS, Made, acceptor, pair, request, value_of
from tests.collector.test_loader import PROTOBUF, post


def logs(
    *records: Mapping[str, object],
    event: str,
    span: int | None = None,
    body: object = None,
    scope: str = "",
) -> ExportLogsServiceRequest:
    """Make a request of log records of one event."""
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add()
    group.resource.attributes.append(pair("service.name", "program"))
    scoped = group.scope_logs.add()
    scoped.scope.name = scope
    for place, attributes in enumerate(records):
        record = scoped.log_records.add(time_unix_nano=START_NS + 10**9 + place)
        record.attributes.extend(pair(key, value) for key, value in attributes.items())
        record.attributes.append(pair("event.name", event))
        if body is not None:
            record.body.CopyFrom(value_of(body))
        if span is not None:
            record.trace_id = (1).to_bytes(16, "big")
            record.span_id = span.to_bytes(8, "big")
    return made


def send(address: str, signal: str, body: bytes) -> httpx.Response:
    """Send a request of another signal than traces."""
    return httpx.post(f"{address}/v1/{signal}", content=body, headers=PROTOBUF)


CLAUDE = {
    "session.id": "claude-session",
    "prompt.id": "prompt-1",
    "model": "claude-opus-4-5",
    "input_tokens": "10",
    "output_tokens": "50",
    "cache_read_tokens": "9000",
    "cache_creation_tokens": "300",
    "cost_usd": "0.0123",
    "duration_ms": "800",
    "request_id": "req_0123456789abcdefghij",
    "user.id": "someone",
}


def test_claude_code_s_requests_are_calls(tmp_path: Path, store: Store) -> None:
    """Numbers as text, cached tokens outside the input, the record at the end; twice is once."""
    record = logs(CLAUDE, event="api_request", scope="com.anthropic.claude_code.events")
    with acceptor(tmp_path) as running:
        for _ in range(2):
            assert send(running.address, "logs", record.SerializeToString()).status_code == 200
        Loader(store, tmp_path).load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert (call["input_tokens"], call["uncached_tokens"]) == (9310, 10)
    assert (call["cache_read_tokens"], call["cache_write_5m_tokens"]) == (9000, 300)
    assert (call["duration_ns"], call["reported_cost_usd"]) == (800_000_000, 0.0123)
    assert (call["session_id"], call["user_id"]) == ("claude-session", "someone")
    assert not call["ambiguous"]
    assert log_progress.accounts(store) == [Account("logs", 2, 1, 1, 0)]


def test_claude_code_s_span_and_its_record_are_one_call(tmp_path: Path, store: Store) -> None:
    """The span has the first token, the record has the cost; one request id, two descriptions."""
    span = {
        "span.type": "llm_request",
        "session.id": "claude-session",
        "gen_ai.request.model": "claude-opus-4-5",
        "input_tokens": 10,
        "output_tokens": 50,
        "cache_read_tokens": 9000,
        "cache_creation_tokens": 300,
        "ttft_ms": 120,
        "request_id": "req_0123456789abcdefghij",
        "query_source": "repl_main_thread",
    }
    made = Made(
        5,
        None,
        "claude_code.llm_request",
        span,
        start_ms=200,
        ms=800,
        scope="com.anthropic.claude_code.tracing",
    )
    record = logs(CLAUDE, event="api_request", scope="com.anthropic.claude_code.events")
    with acceptor(tmp_path) as running:
        send(running.address, "logs", record.SerializeToString())
        loader = Loader(store, tmp_path)
        loader.load()
        post(running.address, request(made).SerializeToString())
        loader.load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert (call["ttft_ns"], call["reported_cost_usd"]) == (120_000_000, 0.0123)
    assert (call["input_tokens"], call["agent"]) == (9310, "repl_main_thread")
    assert len(json.loads(call["described_by"])) == 2


def test_claude_code_says_how_long_a_cache_lives(tmp_path: Path, store: Store) -> None:
    """What was written for an hour costs more than for five minutes."""
    counts = {"cache_creation_5m_tokens": "200", "cache_creation_1h_tokens": "100"}
    record = logs(CLAUDE | counts, event="api_request", scope="com.anthropic.claude_code.events")
    with acceptor(tmp_path) as running:
        send(running.address, "logs", record.SerializeToString())
    Loader(store, tmp_path).load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert (call["cache_write_5m_tokens"], call["cache_write_1h_tokens"]) == (200, 100)
    assert call["input_tokens"] == 9310


def test_codex_s_completed_event_is_a_call(tmp_path: Path, store: Store) -> None:
    """Counts include the cached tokens, and other events of the stream are no calls."""
    counts = {
        "event.kind": "response.completed",
        "conversation.id": "codex-1",
        "model": "gpt-5.4-codex",
        "input_token_count": "1000",
        "cached_token_count": "768",
        "output_token_count": "40",
        "reasoning_token_count": "10",
        "duration_ms": "500",
    }
    other = {"event.kind": "response.output_item.done", "conversation.id": "codex-1"}
    record = logs(counts, other, event="codex.sse_event", scope="codex_otel")
    with acceptor(tmp_path) as running:
        send(running.address, "logs", record.SerializeToString())
        Loader(store, tmp_path).load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert (call["input_tokens"], call["cache_read_tokens"]) == (1000, 768)
    assert (call["output_tokens"], call["reasoning_tokens"]) == (40, 10)
    assert call["session_id"] == "codex-1"


def test_the_details_event_carries_the_content_of_its_span(tmp_path: Path, store: Store) -> None:
    """`gen_ai.client.inference.operation.details` with structured messages, under the span."""
    span = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 3,
    }
    details = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "Yes?"}]}
        ],
    }
    record = logs(details, event="gen_ai.client.inference.operation.details", span=3)
    with acceptor(tmp_path) as running:
        post(running.address, request(Made(3, attributes=span)).SerializeToString())
        send(running.address, "logs", record.SerializeToString())
        Loader(store, tmp_path).load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert call["input_tokens"] == 30
    (part,) = reads.prompt(store, call["call_id"])
    assert json.loads(part.content or b"") == {"role": "user", "content": "Hi"}


def test_message_events_come_before_their_span(tmp_path: Path, store: Store) -> None:
    """Events of OpenTelemetry before 1.37 as log records; the span arrives in a later batch."""
    asked = logs({}, event="gen_ai.user.message", span=3, body={"content": "Hi"})
    answered = logs(
        {}, event="gen_ai.choice", span=3, body={"index": 0, "message": {"content": "Yes?"}}
    )
    span = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 3,
    }
    with acceptor(tmp_path) as running:
        loader = Loader(store, tmp_path)
        for record in (asked, answered):
            send(running.address, "logs", record.SerializeToString())
        loader.load()
        post(running.address, request(Made(3, attributes=span)).SerializeToString())
        loader.load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert (call["input_tokens"], call["model"]) == (30, "m")
    assert [part.role for part in reads.prompt(store, call["call_id"])] == ["user"]
    assert len(reads.output(store, call["call_id"])) == 1


def test_engines_gauges_are_kept_and_others_counted(tmp_path: Path, store: Store) -> None:
    """VLLM's gauge stands in the database; a program's own metric is in the account only."""
    made = ExportMetricsServiceRequest()
    scoped = made.resource_metrics.add().scope_metrics.add()
    for name in ("vllm:num_requests_running", "my.queue"):
        metric = scoped.metrics.add(name=name)
        metric.gauge.data_points.add(time_unix_nano=START_NS, as_int=3)
    with acceptor(tmp_path) as running:
        send(running.address, "metrics", made.SerializeToString())
        Loader(store, tmp_path).load()
    found = store.frame("SELECT metric, value FROM gauges").rows()
    assert found == [("vllm:num_requests_running", 3.0)]
    assert log_progress.accounts(store) == [Account("metrics", 2, 2, 0, 0)]

"""From a real acceptor over loopback, through the log, into a real database."""

import gzip
import json
import signal
import threading
from pathlib import Path

import httpx
import pytest
import zstandard
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from phasewise_collector.loader import Loader
from phasewise_collector.log import reader
from phasewise_store import log_progress, reads
from phasewise_store.log_progress import Account
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, acceptor, request
from tests.collector.test_dialects import ENGINE, OPENINFERENCE

PROTOBUF = {"content-type": "application/x-protobuf"}


def post(address: str, body: bytes, **headers: str) -> httpx.Response:
    """Send a trace request."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{address}/v1/traces", content=body, headers=PROTOBUF | names)


def test_a_real_exporter_s_spans_become_calls(tmp_path: Path) -> None:
    """OpenTelemetry's own exporter with gzip; the call stands in the database with its prompt."""
    with acceptor(tmp_path / "log") as running, Store.open(tmp_path / "p.duckdb") as store:
        provider = TracerProvider()
        exporter = OTLPSpanExporter(f"{running.address}/v1/traces", compression=Compression.Gzip)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("t").start_as_current_span("ChatCompletion") as span:
            span.set_attributes(OPENINFERENCE)  # type: ignore[arg-type]  # plain values
        provider.shutdown()
        assert Loader(store, running.folder).load() == 1
        (call,) = reads.llm_calls(store, Scope(source="live")).iter_rows(named=True)
        assert call["cache_read_tokens"] == 64
        assert [part.role for part in reads.prompt(store, call["call_id"])] == [
            None,
            "system",
            "user",
        ]
        assert "Grüße" not in store.frame("SELECT attributes FROM spans").item()


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_every_encoding_is_read(tmp_path: Path, store: Store, encoding: str) -> None:
    """Protobuf plain, gzip and zstd."""
    body = request(Made(1, attributes=OPENINFERENCE)).SerializeToString()
    packed = {
        "": body,
        "gzip": gzip.compress(body),
        "zstd": zstandard.ZstdCompressor().compress(body),
    }[encoding]
    headers = {"content_encoding": encoding} if encoding else {}
    with acceptor(tmp_path) as running:
        assert post(running.address, packed, **headers).status_code == 200
        assert Loader(store, tmp_path).load() == 1


def test_json_is_read_as_protobuf_is(tmp_path: Path, store: Store) -> None:
    """The same span in OTLP JSON gives the same tokens."""
    span = {
        "traceId": "0" * 31 + "1",
        "spanId": "0" * 15 + "1",
        "name": "chat",
        "startTimeUnixNano": "1760000000000000000",
        "endTimeUnixNano": "1760000001000000000",
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.request.model", "value": {"stringValue": "m"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 3}},
        ],
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    with acceptor(tmp_path) as running:
        answer = httpx.post(
            f"{running.address}/v1/traces",
            content=body,
            headers={"content-type": "application/json"},
        )
        assert (answer.status_code, answer.json()) == (200, {})
        Loader(store, tmp_path).load()
    found = store.frame("SELECT input_tokens, output_tokens, duration_ns FROM llm_calls").row(0)
    assert found == (7, 3, 10**9)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, store: Store) -> None:
    """The acceptor is killed right after its answers; every acknowledged span is loaded."""
    with acceptor(tmp_path) as running:
        for number in range(1, 51):
            body = request(Made(number, trace=number, attributes=OPENINFERENCE))
            assert post(running.address, body.SerializeToString()).status_code == 200
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    assert Loader(store, tmp_path).load() == 50
    assert store.frame("SELECT count(*) FROM llm_calls").item() == 50


def test_a_retry_is_stored_once(tmp_path: Path, store: Store) -> None:
    """The same request twice, and again to a loader that was restarted in between."""
    body = request(Made(1, attributes=OPENINFERENCE)).SerializeToString()
    with acceptor(tmp_path) as running:
        post(running.address, body)
        post(running.address, body)
        assert Loader(store, tmp_path).load() == 1
        post(running.address, body)
        assert Loader(store, tmp_path).load() == 0
    assert log_progress.accounts(store) == [Account("traces", 3, 1, 2, 0)]


def test_a_trace_in_pieces_ends_as_one(tmp_path: Path, store: Store) -> None:
    """The engine's span first, as a call of its own; then its caller: one call with both."""
    engine = request(Made(2, 1, "llm_request", ENGINE)).SerializeToString()
    caller = request(Made(1, attributes=OPENINFERENCE)).SerializeToString()
    with acceptor(tmp_path) as running:
        post(running.address, engine)
        loader = Loader(store, tmp_path)
        loader.load()
        assert store.frame("SELECT count(*) FROM llm_calls").item() == 1
        post(running.address, caller)
        loader.load()
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert (call["engine_prefill_ns"], call["cache_read_tokens"]) == (30_000_000, 64)
    assert len(reads.prompt(store, call["call_id"])) == 3


def test_a_damaged_frame_is_counted_and_hides_nothing_behind_it(
    tmp_path: Path, store: Store
) -> None:
    """A flipped bit in the first request's body: the second one is loaded."""
    with acceptor(tmp_path) as running:
        for number in (1, 2):
            body = request(Made(number, trace=number, attributes=OPENINFERENCE))
            post(running.address, body.SerializeToString())
    (segment,) = tmp_path.glob("*.log")
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    assert Loader(store, tmp_path).load() == 1
    (progress,) = log_progress.load(store).values()
    assert progress.damaged_bytes > 0
    assert reader.waiting_bytes(tmp_path, {}) == len(data)


@pytest.mark.parametrize(
    ("path", "headers", "body", "answered"),
    [
        ("/v1/traces", {"content-type": "text/plain"}, b"x", (415, "content type")),
        ("/v1/traces", PROTOBUF, b"\xff\xff\xff", (400, "not an OTLP traces request")),
        ("/v1/nowhere", PROTOBUF, b"", (404, "/v1/traces")),
        ("/v1/traces", PROTOBUF | {"content-encoding": "br"}, b"x", (415, "gzip")),
    ],
)
def test_what_cannot_be_accepted_is_refused_with_a_reason(
    tmp_path: Path, path: str, headers: dict[str, str], body: bytes, answered: tuple[int, str]
) -> None:
    """The status is final for a sender, and the text says what to do."""
    with acceptor(tmp_path) as running:
        answer = httpx.post(f"{running.address}{path}", content=body, headers=headers)
    assert answer.status_code == answered[0]
    assert answered[1] in answer.text


def test_spans_without_ids_are_told_and_the_others_kept(tmp_path: Path, store: Store) -> None:
    """Partial success names how many; the good span of the same request is stored."""
    body = request(Made(1, attributes=OPENINFERENCE), Made(0, attributes=OPENINFERENCE))
    with acceptor(tmp_path) as running:
        answer = post(running.address, body.SerializeToString())
        assert answer.status_code == 200
        assert b"1 spans have no valid" in answer.content
        assert Loader(store, tmp_path).load() == 1


def test_a_span_can_be_read_soon_after_it_was_acknowledged(tmp_path: Path) -> None:
    """The loader's thread makes it visible; the wait is bounded generously, its time is not."""
    stop, loaded = threading.Event(), threading.Event()
    with acceptor(tmp_path / "log") as running, Store.open(tmp_path / "p.duckdb") as store:
        loader = Loader(store, running.folder)
        thread = threading.Thread(target=loader.follow, args=(stop, loaded.set))
        thread.start()
        try:
            post(running.address, request(Made(1, attributes=OPENINFERENCE)).SerializeToString())
            assert loaded.wait(20)
        finally:
            stop.set()
            thread.join()
        assert store.frame("SELECT count(*) FROM llm_calls").item() == 1


def test_the_loader_outlives_a_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is called after loading fails once: it is logged, and the next span is loaded too."""
    monkeypatch.setattr("phasewise_collector.loader.RETRY_S", 0.0)
    stop, first, second = threading.Event(), threading.Event(), threading.Event()

    def on_loaded() -> None:
        if not first.is_set():
            first.set()
            raise RuntimeError("disk full")
        second.set()

    with acceptor(tmp_path / "log") as running, Store.in_memory() as store:
        loader = Loader(store, running.folder)
        thread = threading.Thread(target=loader.follow, args=(stop, on_loaded))
        thread.start()
        try:
            for number, loaded in ((1, first), (2, second)):
                body = request(Made(number, trace=number, attributes=OPENINFERENCE))
                post(running.address, body.SerializeToString())
                assert loaded.wait(30)
        finally:
            stop.set()
            thread.join()
    assert "disk full" in caplog.text


@pytest.mark.parametrize("place", ["start", "end", "event"])
def test_a_clock_beyond_all_bounds_stops_nothing(tmp_path: Path, store: Store, place: str) -> None:
    """64 bits of nanoseconds without a sign are more than the store holds: others are loaded."""
    broken = request(Made(1, attributes=OPENINFERENCE, events=[("First Token Stream Event", 40)]))
    span = broken.resource_spans[0].scope_spans[0].spans[0]
    latest = (1 << 64) - 1
    if place == "event":
        span.events[0].time_unix_nano = latest
    elif place == "end":
        span.end_time_unix_nano = latest
    else:
        span.start_time_unix_nano = latest
    with acceptor(tmp_path) as running:
        post(running.address, broken.SerializeToString())
        post(running.address, request(Made(2, attributes=OPENINFERENCE)).SerializeToString())
        assert Loader(store, tmp_path).load() == 2
    assert reads.llm_calls(store).height == 2


@pytest.mark.parametrize("name", ["llm.token_count.prompt", "llm.token_count.completion"])
def test_a_count_beyond_all_bounds_is_none(tmp_path: Path, store: Store, name: str) -> None:
    """The largest whole number that OTLP can carry is no count of tokens, and stops nothing."""
    attributes = OPENINFERENCE | {name: (1 << 63) - 1}
    with acceptor(tmp_path) as running:
        post(running.address, request(Made(1, attributes=attributes)).SerializeToString())
        assert Loader(store, tmp_path).load() == 1
    (call,) = reads.llm_calls(store).iter_rows(named=True)
    assert max(call["input_tokens"], call["output_tokens"]) < 1000

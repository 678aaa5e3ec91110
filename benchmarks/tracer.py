"""Time that tracing adds to one call of the OpenAI SDK with 120 messages (80 KB) of history.

usage: python benchmarks/tracer.py [--calls 150] [--messages 120] [--rounds 5]

The real SDK with a transport that answers at once, so that nothing but the client side is measured;
a real collector takes the spans. `client` is the HTTP client below the SDK by itself, which is
handed the finished bytes. `openinference` is that project's instrumentor with OpenTelemetry's batch
processor and exporter, as its documentation sets it up, where it is installed. Each mode runs in a
process of its own, the modes take turns, and the median of the rounds is printed.

`thread` is CPU time of the program's own thread, `caller` how long it waits, `process` the CPU time
of all threads: what the tracer does with a call it does on its own thread.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from collectors import phasewise
from openai import DefaultHttpxClient, OpenAI

MODES = ("client", "sdk", "openinference", "content", "hash", "none")
MESSAGE_BYTES = 650
MOST_ADDED_MS = 2.0
"""what a call may cost the program's thread; the exit code tells"""
WARM_UP = 10
ANSWER = {
    "id": "chatcmpl-0",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}
Times = tuple[float, float, float]
"""milliseconds per call: thread, caller, process"""


def main() -> int:
    """Measure every mode in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=150)
    parser.add_argument("--messages", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode:
        print(json.dumps(work(arguments.mode, arguments.calls, arguments.messages)))
        return 0
    modes = [mode for mode in MODES if mode != "openinference" or _has_openinference()]
    found: dict[str, list[Times]] = {mode: [] for mode in modes}
    with tempfile.TemporaryDirectory() as folder, phasewise(Path(folder)) as running:
        for number in range(arguments.rounds):
            for mode in modes if number % 2 == 0 else modes[::-1]:
                found[mode].append(_round(mode, arguments, Path(folder), running.http))
    medians = {
        mode: [statistics.median(column) for column in zip(*rounds, strict=True)]
        for mode, rounds in found.items()
    }
    size_kb = len(json.dumps(_messages(arguments.messages))) / 1000
    print(f"{arguments.messages} messages, {size_kb:.0f} KB, median of {arguments.rounds} rounds,")
    print("milliseconds per call; x: times what the SDK alone takes\n")
    print(f"{'mode':<15}{'thread':>9}{'x':>7}{'caller':>10}{'x':>7}{'process':>10}{'x':>7}")
    for mode in modes:
        cells = "".join(
            f"{ms:>{9 if place == 0 else 10}.2f}{ms / medians['sdk'][place]:>7.2f}"
            for place, ms in enumerate(medians[mode])
        )
        print(f"{mode:<15}{cells}")
    added_ms = medians["content"][0] - medians["sdk"][0]
    print(f"\ntracing adds {added_ms:.2f} ms to the program's thread (at most {MOST_ADDED_MS} ms)")
    return 0 if added_ms <= MOST_ADDED_MS else 1


def _round(mode: str, arguments: argparse.Namespace, folder: Path, endpoint: str) -> Times:
    ended = subprocess.run(
        [
            *(sys.executable, __file__, "--mode", mode),
            *("--calls", str(arguments.calls), "--messages", str(arguments.messages)),
        ],
        env=os.environ
        | {
            "PHASEWISE_ENDPOINT": endpoint,
            "PHASEWISE_RING": str(folder / "client"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    thread_ms, caller_ms, process_ms = json.loads(ended.stdout)
    return thread_ms, caller_ms, process_ms


def work(mode: str, calls: int, messages: int) -> Times:
    """Make the calls; give what each took."""
    finish = _start(mode)
    said = _messages(messages)
    call = _client_call() if mode == "client" else _sdk_call()
    waits, threads = [], []
    for number in range(calls + WARM_UP):
        if number == WARM_UP:
            process_began = time.process_time()
        began, thread_began = time.perf_counter(), time.thread_time()
        call(said)
        threads.append(time.thread_time() - thread_began)
        waits.append(time.perf_counter() - began)
        said[-1] = {"role": "user", "content": f"{number} {'w' * MESSAGE_BYTES}"}
    time.sleep(1.0)  # what is queued is encoded and sent
    finish()
    process_s = time.process_time() - process_began
    return (
        statistics.median(threads[WARM_UP:]) * 1e3,
        statistics.median(waits[WARM_UP:]) * 1e3,
        process_s / calls * 1e3,
    )


def _messages(count: int) -> list[dict[str, str]]:
    return [{"role": "system", "content": "s" * MESSAGE_BYTES}] + [
        {"role": "assistant" if n % 2 else "user", "content": f"{n} {'w' * MESSAGE_BYTES}"}
        for n in range(count - 1)
    ]


def _start(mode: str) -> Callable[[], object]:
    """Switch tracing on as the mode says; give what waits until all is sent."""
    if mode in ("client", "sdk"):
        return lambda: None
    if mode == "openinference":
        _openinference()
        from opentelemetry import trace

        return lambda: trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]  # the SDK's
    import phasewise as tracer

    tracer.init(capture=mode)  # type: ignore[arg-type]  # one of its words
    return lambda: tracer.flush(20_000)


def _http() -> DefaultHttpxClient:
    http = sys.modules[DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    transport = http.MockTransport(lambda request: http.Response(200, json=ANSWER))
    return DefaultHttpxClient(transport=transport)


def _sdk_call() -> Callable[[list[dict[str, str]]], object]:
    client = OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none", http_client=_http())
    return lambda said: client.chat.completions.create(model="m", messages=said)  # type: ignore[arg-type]  # plain dicts


def _client_call() -> Callable[[list[dict[str, str]]], object]:
    client = _http()
    return lambda said: client.post(
        "http://127.0.0.1:9/v1/chat/completions", json={"model": "m", "messages": said}
    )


def _has_openinference() -> bool:
    try:
        return importlib.util.find_spec("openinference.instrumentation.openai") is not None
    except ModuleNotFoundError:
        return False


def _openinference() -> None:
    from openinference.instrumentation.openai import OpenAIInstrumentor
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        span_limits=SpanLimits(max_span_attributes=20_000, max_attributes=20_000)
    )
    exporter = OTLPSpanExporter(compression=Compression.Gzip)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    OpenAIInstrumentor().instrument(tracer_provider=provider)


if __name__ == "__main__":
    sys.exit(main())

"""Time and CPU that tracing adds to one call with a hundred messages of history.

usage: python benchmarks/tracer.py [--calls 150] [--messages 100] [--rounds 5]

The real OpenAI SDK with a transport that answers at once, so that nothing but the client side is
measured; a real collector takes the spans. `bare` is OpenInference's instrumentor with
OpenTelemetry's batch processor and OTLP exporter, as its own documentation sets it up. Each mode
runs in a process of its own, the modes take turns, and the figures are differences from `off`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collectors import phasewise
from openai import DefaultHttpxClient, OpenAI

MODES = ("off", "bare", "content", "hash", "none")
MESSAGE_BYTES = 400
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


def main() -> int:
    """Measure every mode in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=150)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode:
        print(json.dumps(work(arguments.mode, arguments.calls, arguments.messages)))
        return 0
    found: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder, phasewise(Path(folder)) as running:
        for number in range(arguments.rounds):
            for mode in MODES if number % 2 == 0 else MODES[::-1]:
                ended = subprocess.run(
                    [
                        *(sys.executable, __file__, "--mode", mode),
                        *("--calls", str(arguments.calls), "--messages", str(arguments.messages)),
                    ],
                    env=os.environ
                    | {
                        "PHASEWISE_ENDPOINT": running.http,
                        "PHASEWISE_RING": str(Path(folder) / "client"),
                        "OTEL_EXPORTER_OTLP_ENDPOINT": running.http,
                    },
                    capture_output=True,
                    text=True,
                    check=True,
                )
                wall_ms, cpu_ms = json.loads(ended.stdout)
                found[mode].append((wall_ms, cpu_ms))
    base = [statistics.median(column) for column in zip(*found["off"], strict=True)]
    bare = [statistics.median(column) for column in zip(*found["bare"], strict=True)]
    print(
        f"{arguments.messages} messages of {MESSAGE_BYTES} B, median of {arguments.rounds} rounds"
    )
    print(f"{'mode':<10}{'the caller waits':>20}{'CPU of the process':>22}{'against bare':>22}")
    for mode in MODES:
        wall, cpu = (statistics.median(column) for column in zip(*found[mode], strict=True))
        added = wall - base[0], cpu - base[1]
        ratios = ""
        if mode not in ("off", "bare"):
            waits, cpus = added[0] / (bare[0] - base[0]), added[1] / (bare[1] - base[1])
            ratios = f"{waits:.2f} wait, {cpus:.2f} CPU"
        print(f"{mode:<10}{added[0]:>+17.2f} ms{added[1]:>+19.2f} ms{ratios:>22}")
    return 0


def work(mode: str, calls: int, messages: int) -> tuple[float, float]:
    """Make the calls; give milliseconds a call that the caller waited, and CPU of the process."""
    if mode == "bare":
        _bare()
    elif mode != "off":
        import phasewise as tracer

        tracer.init(capture=mode)  # type: ignore[arg-type]  # one of its words
    client = _client()
    said = [{"role": "system", "content": "s" * MESSAGE_BYTES}]
    said += [
        {"role": "assistant" if n % 2 else "user", "content": f"{n} {'w' * MESSAGE_BYTES}"}
        for n in range(messages - 1)
    ]
    waits = []
    for number in range(calls + 10):
        if number == 10:
            cpu_began = time.process_time()
        began = time.perf_counter()
        client.chat.completions.create(model="m", messages=said)  # type: ignore[arg-type]  # plain dicts
        waits.append(time.perf_counter() - began)
        said[-1] = {"role": "user", "content": f"{number} {'w' * MESSAGE_BYTES}"}
    time.sleep(1.0)  # what is queued is encoded and sent
    if mode not in ("off", "bare"):
        import phasewise as tracer

        tracer.flush(20_000)
    elif mode == "bare":
        from opentelemetry import trace

        trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]  # the SDK's
    cpu_s = time.process_time() - cpu_began
    return statistics.median(waits[10:]) * 1e3, cpu_s / calls * 1e3


def _client() -> OpenAI:
    http = sys.modules[DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    transport = http.MockTransport(lambda request: http.Response(200, json=ANSWER))
    return OpenAI(
        base_url="http://127.0.0.1:9/v1",
        api_key="none",
        http_client=DefaultHttpxClient(transport=transport),
    )


def _bare() -> None:
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

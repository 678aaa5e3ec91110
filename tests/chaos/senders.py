"""Real senders that never stop sending, and remember what was acknowledged."""

import contextlib
import json
import os
import shutil
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".engines" / "chaos"
BATCH = 32
TIMEOUT_S = 3


class Sender(Protocol):
    """Something that sends until it is stopped."""

    name: str
    acked: set[str]
    """`trace-span` of every span that the collector has acknowledged"""

    def stop(self) -> None:
        """Stop sending, and wait until it has stopped."""


class _Kept(SpanProcessor):
    """Keeps ended spans."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: object = None) -> None:
        """Do nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep it."""
        self.ended.append(span)


class PythonSender:
    """OpenTelemetry's Python exporter in a thread; a batch that fails is sent again."""

    def __init__(self, name: str, exporter: SpanExporter) -> None:
        self.name = name
        self.acked: set[str] = set()
        self._exporter = exporter
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batch that is on its way."""
        self._stopping.set()
        self._thread.join()
        self._exporter.shutdown()

    def _run(self) -> None:
        kept = _Kept()
        provider = TracerProvider(
            resource=Resource.create({"service.name": self.name}), shutdown_on_exit=False
        )
        provider.add_span_processor(kept)
        tracer = provider.get_tracer("chaos")
        while not self._stopping.is_set():
            kept.ended = []
            for number in range(BATCH):
                tracer.start_span(f"step {number}", attributes={"number": number}).end()
            batch = kept.ended
            while not self._stopping.is_set():
                if self._exporter.export(batch) is SpanExportResult.SUCCESS:
                    self.acked.update(map(_id, batch))
                    break
                time.sleep(0.05)


class NodeSender:
    """OpenTelemetry's JavaScript exporter, a process."""

    def __init__(self, kind: str, address: str) -> None:
        self.name = f"node {kind}"
        self.acked: set[str] = set()
        self._process = subprocess.Popen(
            ["node", "send.mjs", kind, address],
            cwd=TOOLS / "node",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._read, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close its input, and read what it still says."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._thread.join(30)
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                self.acked.update(json.loads(line))


class RotelSender:
    """A Python exporter that sends to rotel, which sends on; its acknowledgement promises nothing.

    What arrives through it must arrive once; how much does is up to rotel.
    """

    def __init__(self, http: str, ports: tuple[int, int]) -> None:
        self.name = "rotel"
        agent = TOOLS / "rotel/lib/python3.11/site-packages/rotel/rotel-agent"
        libraries = str(sysconfig.get_config_var("LIBDIR"))
        self._process = subprocess.Popen(
            [
                *(str(agent), "start", "--exporter", "otlp"),
                *("--otlp-http-endpoint", f"127.0.0.1:{ports[0]}"),
                *("--otlp-grpc-endpoint", f"127.0.0.1:{ports[1]}"),
                *("--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", http),
                *("--batch-timeout", "200ms"),
            ],
            env=os.environ | {"LD_LIBRARY_PATH": libraries},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        exporter = HttpExporter(f"http://127.0.0.1:{ports[0]}/v1/traces", timeout=TIMEOUT_S)
        self._inner = PythonSender("rotel", exporter)
        self.acked: set[str] = set()
        self.handed = self._inner.acked

    def stop(self) -> None:
        """Stop the sender, then rotel, which sends on what it has."""
        self._inner.stop()
        time.sleep(1)
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def available() -> Sequence[str]:
    """Name the senders that can run here."""
    names = ["python http", "python grpc"]
    if shutil.which("node") and (TOOLS / "node" / "node_modules").is_dir():
        names += ["node json", "node proto", "node grpc"]
    if (TOOLS / "rotel").is_dir():
        names.append("rotel")
    return names


@contextmanager
def sending(http: str, grpc: str, rotel_ports: tuple[int, int]) -> Iterator[list[Sender]]:
    """Run every sender there is for the length of the block."""
    senders: list[Sender] = []
    try:
        for name in available():
            if name == "python http":
                exporter: SpanExporter = HttpExporter(
                    f"{http}/v1/traces", compression=Compression.Gzip, timeout=TIMEOUT_S
                )
                senders.append(PythonSender(name, exporter))
            elif name == "python grpc":
                exporter = GrpcExporter(endpoint=grpc, insecure=True, timeout=TIMEOUT_S)
                senders.append(PythonSender(name, exporter))
            elif name == "rotel":
                senders.append(RotelSender(http, rotel_ports))
            else:
                kind = name.removeprefix("node ")
                senders.append(NodeSender(kind, grpc if kind == "grpc" else http))
        yield senders
    finally:
        stopping = [threading.Thread(target=one.stop) for one in senders]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()


def _id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}-{span.context.span_id:016x}"

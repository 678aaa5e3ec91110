"""Send the same spans to Phasewise, Phoenix, MLflow and rotel; print what each can take.

usage: python benchmarks/ingest.py [--only NAME …] [--scale 1.0] [--json FILE]

Spans per second until the last acknowledgement, and until a query would find the last span; CPU per
span; peak memory; bytes on disk. Peers:  make peers. Phoenix and rotel acknowledge before anything
is on disk; rotel stores nothing at all. Times are of this machine now: only ratios of one run mean
anything. A peer that is not installed, does not start or drops requests is left out, with
its reason.
"""

import argparse
import gzip
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from collectors import PeerError, Running, mlflow, phasewise, phoenix, rotel
from otlp_load import Load, llm, lmcache, small

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces" / "lmcache-agent-trace"
SENDERS = 2
GIVE_UP_S = 300.0
Start = Callable[[Path], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Peer:
    """A collector, and how many spans it is sent: about what it takes in half a minute."""

    start: Start
    small: int
    llm: int
    stores: bool = True


PEERS = {
    "phasewise": Peer(phasewise, 60_000, 16_000),
    "phoenix": Peer(phoenix, 2_000, 1_000),
    "mlflow": Peer(mlflow, 4_000, 2_000),
    "rotel": Peer(rotel, 60_000, 16_000, stores=False),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One collector under one load."""

    collector: str
    load: str
    spans: int
    acked_per_s: float
    stored_per_s: float | None
    """until a query would find the last span; None where nothing is stored"""
    stored: int
    acks_per_cpu_s: float
    """spans acknowledged per second of CPU of the receiving process"""
    stored_per_cpu_s: float | None
    peak_mib: float
    disk_bytes_per_span: float
    raw_bytes_per_span: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(PEERS))
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of spans")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    found: list[Measured] = []
    for name in arguments.only or PEERS:
        peer = PEERS[name]
        for make, spans in ((small, peer.small), (llm, peer.llm)):
            load = make(max(100, int(spans * arguments.scale)))
            try:
                found.append(measure(name, peer, load))
            except PeerError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                break
            _print(found[-1])
    _ratios(found)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    if SHARED.is_dir() and (arguments.only is None or "phasewise" in arguments.only):
        _storage(lmcache(SHARED))
    return 0


def _storage(load: Load) -> None:
    """Print how many bytes of database real agent sessions take, sent as OTLP."""
    with tempfile.TemporaryDirectory() as folder:
        with phasewise(Path(folder)) as running:
            _send(running, [gzip.compress(body, 1) for body in load.bodies])
            while running.stored() < load.spans:
                time.sleep(0.1)
        size = (Path(folder) / "p.duckdb").stat().st_size
    print(
        f"{load.name} as OTLP: {load.spans:,} spans, {load.raw_bytes / 1e6:,.1f} MB; the database "
        f"is {size / 1e6:,.2f} MB, 1/{load.raw_bytes / size:.1f} of it"
    )


def measure(name: str, peer: Peer, load: Load) -> Measured:
    """Send a load to a fresh collector."""
    bodies = [gzip.compress(body, 1) for body in load.bodies]
    with tempfile.TemporaryDirectory() as folder, peer.start(Path(folder)) as running:
        before, disk_before = running.cpu_s(), running.disk_bytes()
        receiver_before = running.receiver_cpu_s()
        began = time.monotonic()
        _send(running, bodies)
        acked_s = time.monotonic() - began
        acked_cpu_s = running.receiver_cpu_s() - receiver_before
        stored, stored_s = 0, 0.0
        while peer.stores and time.monotonic() - began < GIVE_UP_S:
            stored, stored_s = running.stored(), time.monotonic() - began
            if stored >= load.spans:
                break
            time.sleep(0.1)
        cpu_s = running.cpu_s() - before
        kept = stored or load.spans
        return Measured(
            name,
            load.name,
            load.spans,
            load.spans / acked_s,
            stored / stored_s if stored else None,
            stored,
            load.spans / max(acked_cpu_s, 1e-9),
            stored / cpu_s if stored else None,
            running.peak_mib(),
            (running.disk_bytes() - disk_before) / kept,
            load.raw_bytes / load.spans,
        )


def _send(running: Running, bodies: list[bytes]) -> None:
    """Post all bodies from a few connections, again where the collector asks to wait."""
    turn = iter(bodies)
    lock = threading.Lock()
    parts = urlsplit(running.http)
    failures: list[str] = []
    headers = {
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        **running.headers,
    }

    def work() -> None:
        try:
            send_on()
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{type(error).__name__}: {error}")

    def send_on() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        while True:
            with lock:
                body = next(turn, None)
            if body is None or failures:
                return
            while True:
                connection.request("POST", "/v1/traces", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    break
                if answer.status not in (429, 503):
                    failures.append(f"{answer.status} {text[:200]!r}")
                    return
                time.sleep(0.1)

    threads = [threading.Thread(target=work) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise PeerError(f"it refused or dropped a request: {failures[0]}")


def _print(one: Measured) -> None:
    stored = f"{one.stored_per_s:>9,.0f}" if one.stored_per_s else f"{'-':>9}"
    per_cpu = f"{one.stored_per_cpu_s:>9,.0f}" if one.stored_per_cpu_s else f"{'-':>9}"
    print(
        f"{one.collector:<11}{one.load:<16}{one.spans:>7,} spans  acked {one.acked_per_s:>9,.0f}/s"
        f" {one.acks_per_cpu_s:>9,.0f}/cpu-s  queryable {stored}/s {per_cpu}/cpu-s  "
        f"peak {one.peak_mib:>6,.0f} MiB  disk {one.disk_bytes_per_span:>7,.0f} of "
        f"{one.raw_bytes_per_span:,.0f} B/span"
        + ("" if one.stored in (0, one.spans) else f"  ONLY {one.stored:,} STORED"),
        flush=True,
    )


def _ratios(found: list[Measured]) -> None:
    ours = {one.load: one for one in found if one.collector == "phasewise"}
    for one in found:
        mine = ours.get(one.load)
        if one.collector == "phasewise" or mine is None:
            continue
        line = f"phasewise : {one.collector}, {one.load}:  "
        line += f"acks per CPU-second {mine.acks_per_cpu_s / one.acks_per_cpu_s:.2f}"
        if one.stored_per_cpu_s and mine.stored_per_cpu_s:
            line += f", queryable per CPU-second {mine.stored_per_cpu_s / one.stored_per_cpu_s:.1f}"
        print(line)


if __name__ == "__main__":
    sys.exit(main())

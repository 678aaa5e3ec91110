"""Run every kind of command beside a `phasewise up` that receives spans; print what acks cost.

usage: python benchmarks/beside.py [--rate 500] [--rounds 2] [--quiet-s 3] [--json FILE]

Spans come at a steady rate while commands run one after another, each between two quiet spells.
Printed are p50 and p99 of the time to an acknowledgement in quiet spells and beside commands, and
their ratio. A command that fails, mentions a lock, or answers otherwise than without `up` ends the
benchmark with 1. Only ratios of one run mean anything.
"""

import argparse
import gzip
import http.client
import json
import math
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from multiprocessing import Process, Queue
from pathlib import Path
from urllib.parse import urlsplit

from collectors import Running, phasewise
from otlp_load import llm
from phasewise_collector import samples

CONNECTIONS = 5
SPANS_A_REQUEST = 20
PART = 200
"""spans that are made at a time"""
READY = 100
"""requests that wait to be sent"""
PROGRAM = (sys.executable, "-m", "phasewise_web.cli.main")
SOURCE = "tau2-bench"
PLAN = f"""
name: beside
sessions: {{source: {SOURCE}, limit: 12}}
arms:
  - {{name: off, engine: simulated, gpu: h100-sxm, model: qwen3-8b, presets: [prefix-caching-off]}}
  - {{name: on, engine: simulated, gpu: h100-sxm, model: qwen3-8b, presets: [prefix-caching-on]}}
"""
COUNT = "SELECT name, count(*) AS calls FROM llm_calls JOIN sources USING (source_id)"
HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    words: tuple[str, ...]
    code: int
    answer: object
    """of its JSON, what does not change from run to run"""
    said: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Acks:
    """Times from a request to its acknowledgement."""

    requests: int
    p50_ms: float
    p99_ms: float


class Sender:
    """Sends spans at a steady rate, and keeps when each request was due and how long it took."""

    def __init__(self, address: str, rate: float) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port
        self._bodies: Queue[bytes] = Queue(READY)
        self._maker = Process(target=_make, args=(self._bodies,), daemon=True)
        self._gap_s = CONNECTIONS * SPANS_A_REQUEST / rate
        self._stop = threading.Event()
        self.acks: list[tuple[float, float]] = []
        """when a request was due, and the seconds from then to its acknowledgement"""
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(place,)) for place in range(CONNECTIONS)
        ]

    def __enter__(self) -> "Sender":
        self._maker.start()
        while not self._bodies.full():
            time.sleep(0.1)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._maker.terminate()
        self._maker.join()

    def _work(self, place: int) -> None:
        try:
            self._send(place)
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    def _send(self, place: int) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        due_s = time.monotonic() + place * self._gap_s / CONNECTIONS
        while not self._stop.is_set():
            body = self._bodies.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            connection.request("POST", "/v1/traces", body, HEADERS)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                self.failures.append(f"{answer.status} {text[:200]!r}")
            self.acks.append((due_s, time.monotonic() - due_s))
            due_s += self._gap_s


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=500.0, help="spans per second")
    parser.add_argument("--rounds", type=int, default=2, help="of all commands, on a fresh `up`")
    parser.add_argument("--quiet-s", type=float, default=3.0, help="before and after a command")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    quiet: list[float] = []
    beside: list[float] = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as made, samples.folder() as traces:
        folder = Path(made)
        plan = folder / "plan.yaml"
        plan.write_text(PLAN)
        base = folder / "base.duckdb"
        _run(base, ("import", str(traces / SOURCE), str(traces / "lmcache-agent-trace")))
        work = commands(plan, traces / "kv-cache-tester")
        free = Path(shutil.copy(base, folder / "free.duckdb"))
        alone = {words: _run(free, words) for words in work}
        for number in range(arguments.rounds):
            place = folder / f"round{number}"
            place.mkdir()
            shutil.copy(base, place / "p.duckdb")
            with phasewise(place) as running, Sender(running.http, arguments.rate) as sender:
                ended = _round(running, sender, work, arguments.quiet_s, quiet=quiet, beside=beside)
            faults += sender.failures
            faults += [fault for one in ended for fault in _faults(one, alone[one.words].answer)]
    found = {"quiet": _acks(quiet), "beside": _acks(beside)}
    ratio = found["beside"].p99_ms / found["quiet"].p99_ms
    for name, acks in found.items():
        _print(name, acks)
    print(f"p99 beside commands is {ratio:.2f} times that of quiet spells")
    print("\n".join(faults) or "every answer is the one that the free database gives; no lock")
    if arguments.json:
        figures = {name: asdict(acks) for name, acks in found.items()}
        arguments.json.write_text(
            json.dumps(figures | {"ratio": ratio, "faults": faults}, indent=1)
        )
    return 1 if faults else 0


def commands(plan: Path, traces: Path) -> list[tuple[str, ...]]:
    """Give what is run, in order."""
    source = ("--source", SOURCE)
    return [
        ("agents", "--json", *source),
        ("sessions", "--json", *source),
        ("import", "--json", str(traces)),
        ("sql", "--json", f"{COUNT} WHERE name = '{SOURCE}' GROUP BY name"),
        ("replay", "--json", str(plan)),
        ("report", "run", "latest"),
        ("nightly", "--json", str(plan)),
        ("breaks", "--json", *source),
    ]


def _round(
    running: Running,
    sender: Sender,
    work: Sequence[tuple[str, ...]],
    quiet_s: float,
    *,
    quiet: list[float],
    beside: list[float],
) -> list[Ended]:
    """Run all commands, each between two quiet spells; add the times of acks to either list."""
    spells: list[tuple[float, float]] = []
    ended = []
    time.sleep(quiet_s)  # the first spans of a fresh `up` are none of either
    first_s = time.monotonic()
    for words in work:
        time.sleep(quiet_s)
        began_s = time.monotonic()
        ended.append(_run(running.folder / "p.duckdb", words))
        spells.append((began_s, time.monotonic()))
    time.sleep(quiet_s)
    acks = [ack for ack in sender.acks if ack[0] >= first_s]
    for one, (began_s, until_s) in zip(ended, spells, strict=True):
        during = [took_s for due_s, took_s in acks if began_s <= due_s <= until_s]
        beside += during
        _print(f"{one.words[0]} ({one.took_s:.1f} s)", _acks(during))
    quiet += [
        took_s
        for due_s, took_s in acks
        if not any(began_s <= due_s <= until_s for began_s, until_s in spells)
    ]
    return ended


def _run(database: Path, words: tuple[str, ...]) -> Ended:
    began_s = time.monotonic()
    command, *rest = words
    done = subprocess.run(
        [*PROGRAM, command, "--db", str(database), *rest],
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.monotonic() - began_s
    return Ended(words, done.returncode, _answer(command, done.stdout), done.stderr, took_s)


def _answer(command: str, printed: str) -> object:
    if command == "report":
        return "verdict" in printed.lower()
    try:
        found = json.loads(printed)
    except ValueError:
        return None
    if command == "import":
        return found["llm_calls"]
    if command == "replay":
        return [(one["name"], one["arm"], one["verdict"]) for one in found["metrics"]]
    if command == "nightly":
        return found["regressions"]
    return found


def _faults(one: Ended, right: object) -> Iterator[str]:
    name = " ".join(one.words)
    if one.code:
        yield f"{name}: exit code {one.code}: {one.said.strip()}"
    if "lock" in one.said.lower() or "in use" in one.said:
        yield f"{name}: {one.said.strip()}"
    if one.answer != right:
        yield f"{name}: another answer than without `up`"


def _make(bodies: "Queue[bytes]") -> None:
    """Make requests without end, in a process of its own: each holds new calls."""
    for seed in count():
        for body in llm(PART, SPANS_A_REQUEST, seed=seed).bodies:
            bodies.put(gzip.compress(body, 1))


def _print(name: str, acks: Acks) -> None:
    print(
        f"{name:<20}{acks.requests:>6} requests   p50 {acks.p50_ms:>7.1f} ms   "
        f"p99 {acks.p99_ms:>7.1f} ms",
        flush=True,
    )


def _acks(times_s: list[float]) -> Acks:
    ordered = sorted(times_s)

    def at(share: float) -> float:
        return 1e3 * ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

    return Acks(len(ordered), at(0.5), at(0.99))


if __name__ == "__main__":
    sys.exit(main())

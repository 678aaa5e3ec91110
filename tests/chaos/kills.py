"""Kill acceptor and owner of the database, again and again, under load from real senders."""

import contextlib
import logging
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from phasewise_store.store import Store

from tests.chaos.senders import sending
from tests.cli.test_up import Up, until, up
from tests.collector.otlp_for_tests import Made, request

WAIT_S = (0.4, 1.2)
PROBE_S = 0.01
STUCK_S = 60


@dataclass
class Outcome:
    """What a series of kills has shown."""

    rounds: Counter[str] = field(default_factory=Counter)
    """kills by what was killed"""
    acked: Counter[str] = field(default_factory=Counter)
    """spans acknowledged, by sender"""
    lost: list[str] = field(default_factory=list)
    doubled: int = 0
    back_s: list[float] = field(default_factory=list)
    """from each kill of the acceptor to the next acknowledgement on a new connection"""
    unbalanced: list[str] = field(default_factory=list)
    """states of the books that do not balance"""
    through_rotel: tuple[int, int] = (0, 0)
    """spans that arrived through rotel, and that it was handed"""
    accepted: int = 0
    deduplicated: int = 0


def run(folder: Path, rounds: int, *, seed: int = 1) -> Outcome:
    """Kill `rounds` times, stop in good order, and compare what was acknowledged with the store."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    chance = random.Random(seed)
    outcome = Outcome()
    database = folder / "p.duckdb"
    handed: set[str] = set()
    with up(database) as running:
        with sending(running.otlp, running.grpc, _ports()) as senders:
            for number in range(rounds):
                time.sleep(chance.uniform(*WAIT_S))
                victim = ("acceptor", "owner", "acceptor", "owner", "both")[number % 5]
                _kill(running, victim, outcome)
                outcome.rounds[victim] += 1
                _check_books(running, outcome)
            time.sleep(1)
        for sender in senders:
            outcome.acked[sender.name] = len(sender.acked)
            handed |= getattr(sender, "handed", set())
        _until_loaded(running)
        _check_books(running, outcome)
        (line,) = [one for one in _lines(running) if one["signal"] == "traces"]
        outcome.accepted = int(str(line["accepted"]))
        outcome.deduplicated = int(str(line["deduplicated"]))
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(60)
    acked = set().union(*(sender.acked for sender in senders))
    stored = stored_ids(database)
    outcome.lost = sorted(acked - stored.keys())
    outcome.doubled = sum(count - 1 for count in stored.values())
    outcome.through_rotel = (len(handed & stored.keys()), len(handed))
    if int(str(line["stored"])) != sum(stored.values()):
        outcome.unbalanced.append(f"{line['stored']} said to be stored, {sum(stored.values())} are")
    return outcome


def terminated(folder: Path, rounds: int) -> Outcome:
    """Stop with SIGTERM under load, start again, and compare in the end."""
    outcome = Outcome()
    database = folder / "p.duckdb"
    acked: set[str] = set()
    for number in range(rounds):
        with up(database) as running:
            with sending(running.otlp, running.grpc, _ports()) as senders:
                time.sleep(1.5)
                running.process.send_signal(signal.SIGTERM)
                running.process.wait(60)
            for sender in senders:
                outcome.acked[sender.name] += len(sender.acked)
                acked |= sender.acked
        outcome.rounds["SIGTERM"] += 1
        stored = stored_ids(database)
        outcome.lost += [f"round {number}: {one}" for one in sorted(acked - stored.keys())]
        outcome.doubled = sum(count - 1 for count in stored.values())
    return outcome


def stored_ids(database: Path) -> Counter[str]:
    """Read the ids of all stored spans from the closed database."""
    with Store.open(database) as store:
        found = store.frame(
            "SELECT trace_id || '-' || span_id AS id, count(*) FROM spans GROUP BY 1"
        )
        return Counter(dict(found.iter_rows()))


def _kill(running: Up, victim: str, outcome: Outcome) -> None:
    names = {"acceptor": ["acceptor"], "owner": ["owner"], "both": ["acceptor", "owner"]}[victim]
    for name in names:
        for pid in processes(running.process.pid, f"phasewise_{_MODULES[name]}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if "acceptor" in names:
        outcome.back_s.append(_until_accepting(running.otlp))


_MODULES = {"acceptor": "collector.acceptor", "owner": "web.database_process"}


def processes(pid: int, module: str) -> list[int]:
    """Give the child processes of a module; not one that waits for its turn."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for child in children:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            if module.encode() in words:
                found.append(int(child))
    # the standby has the same command line, with a word more; what was a standby keeps it: then
    # both are killed, which is the harder test
    return found


def _until_accepting(address: str) -> float:
    """Time until a request on a new connection is acknowledged."""
    began = time.monotonic()
    body = request(Made(1, trace=2**64 + int(began * 1e6))).SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    while time.monotonic() - began < 30:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(f"{address}/v1/traces", content=body, headers=headers, timeout=2)
            if answer.is_success:
                return time.monotonic() - began
        time.sleep(PROBE_S)
    return float("inf")


def _check_books(running: Up, outcome: Outcome) -> None:
    until(lambda: bool(_lines(running)))
    for line in _lines(running):
        if line["balance"]:
            outcome.unbalanced.append(str(line))


def _lines(running: Up) -> list[dict[str, object]]:
    try:
        page = httpx.get(f"{running.pages}/collector.json", timeout=30)
        lines: list[dict[str, object]] = page.json()["lines"] if page.is_success else []
    except (httpx.HTTPError, ValueError):
        return []
    return lines


def _waiting(running: Up) -> int:
    lines = _lines(running)
    return sum(int(str(line["waiting"])) for line in lines) if lines else -1


def _until_loaded(running: Up) -> None:
    """Wait while the log is worked off, however long it is; TimeoutError where that stops."""
    least, moved = sys.maxsize, time.monotonic()
    while least:
        waiting = _waiting(running)
        if 0 <= waiting < least:
            least, moved = waiting, time.monotonic()
        elif time.monotonic() - moved > STUCK_S:
            raise TimeoutError(f"nothing was loaded for {STUCK_S} s; waiting: {waiting}")
        time.sleep(0.2)


def _ports() -> tuple[int, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]

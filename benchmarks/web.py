"""Ask every page of a large database while spans arrive; print what each takes on the server.

usage: python benchmarks/web.py [--calls 15000 --calls 150000 --calls 1000000] [--keep FOLDER]
       [--json FILE]

For each size: a database of kv-cache-tester and tau2-bench, repeated under other ids, and a real
`phasewise up` on it, twice: without other work, and while LLM spans arrive at a steady rate. Each
address of the route table, pages and JSON, over several scopes is asked right after the start and
again. Times are those that responses name in `Server-Timing`: from request to response, which
depends on what else the machine does, and of a processor, which hardly does. This process shares
the machine with the server. Ends with 1 where a route's p95 is above --most-ms or
the pages took longer than --most-start-s to answer.
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
from collectors import Running, phasewise
from otlp_load import llm
from phasewise_store.store import Store
from phasewise_web.app import make_app
from phasewise_web.pages.parameters import TAKES
from repeated_traces import fill, load

SIZES = (15_000, 150_000, 1_000_000)
SPANS_A_REQUEST = 50
MADE = 1_000
"""spans that are made at a time"""
SECONDS = 60
"""for which spans are made: about as long as all addresses take"""
HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
LATER_LOOKS = 2


@dataclass
class Looks:
    """What one route took, in milliseconds on the server."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """of all looks, in milliseconds of a processor"""

    def add(self, times: list[float], took: Mapping[str, float]) -> None:
        """Keep a look: its time among `times`."""
        times.append(took["total"])
        self.cpu += [took[name] for name in ("cpu",) if name in took]


@dataclass
class Run:
    """One `phasewise up` that was asked."""

    calls: int
    spans_per_s: float
    start_s: float = 0.0
    """from the command to the first answer"""
    stored_spans: int = 0
    looks: dict[str, Looks] = field(default_factory=dict)

    @property
    def all(self) -> Looks:
        """The looks of all routes."""
        whole = Looks()
        for one in self.looks.values():
            whole.first += one.first
            whole.later += one.later
            whole.cpu += one.cpu
        return whole


def main() -> int:
    """Measure each size and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, action="append", help="size of a database")
    parser.add_argument("--keep", type=Path, help="folder that keeps the databases between runs")
    parser.add_argument("--spans-per-s", type=float, default=500.0)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--most-ms", type=float, default=150.0)
    parser.add_argument("--most-start-s", type=float, default=2.0)
    arguments = parser.parse_args()
    results = []
    for calls in arguments.calls or SIZES:
        for rate in sorted({0.0, arguments.spans_per_s}):
            with _database(calls, arguments.keep) as path:
                run = measure(path, rate)
            _print(run)
            results.append(run)
            if arguments.json:
                arguments.json.write_text(json.dumps(_figures(results), indent=1) + "\n")
    passed = all(
        run.start_s <= arguments.most_start_s
        and all(_p95(one.first + one.later) <= arguments.most_ms for one in run.looks.values())
        for run in results
    )
    return 0 if passed else 1


@contextmanager
def _database(calls: int, keep: Path | None) -> Iterator[Path]:
    """Give a copy of the database of this size: a run writes to it."""
    with tempfile.TemporaryDirectory() as folder:
        kept = (keep or Path(folder)) / f"{calls}.duckdb"
        if not kept.exists():
            once = kept.with_name("once.duckdb")
            if not once.exists():
                load(once)
            shutil.copyfile(once, kept)
            print(f"{calls:,} calls wanted: {fill(kept, calls)}", flush=True)
        run = Path(folder) / "p.duckdb"
        shutil.copyfile(kept, run)
        os.sync()  # else the copy is still being written while pages are asked
        yield run


def measure(path: Path, spans_per_s: float) -> Run:
    """Start, send, ask."""
    asked = list(addresses(path))
    with Store.open(path) as store:
        calls = int(store.frame("SELECT count(*) FROM llm_calls").item())
    run = Run(calls, spans_per_s)
    spans = _requests(int(spans_per_s * SECONDS))
    began_s = time.monotonic()
    with phasewise(path.parent) as running:
        run.start_s = time.monotonic() - began_s
        with _sending(running, spans, spans_per_s), httpx.Client(timeout=600) as client:
            for route, address in asked:
                one = run.looks.setdefault(route, Looks())
                one.add(one.first, _ask(client, running, address))
            for _ in range(LATER_LOOKS):
                for route, address in asked:
                    one = run.looks[route]
                    one.add(one.later, _ask(client, running, address))
        run.stored_spans = running.stored()
    return run


def addresses(path: Path) -> Iterator[tuple[str, str]]:
    """Give each route of a page with each address that is asked of it."""
    with Store.open(path) as store:
        calls_of = "SELECT session_id, sum(calls) AS calls FROM cells GROUP BY session_id"
        chosen = (
            f"SELECT session_id FROM ({calls_of}) ORDER BY calls DESC, session_id LIMIT 1",
            "SELECT session_id FROM session_times ORDER BY first_ordinal DESC LIMIT 1",
            "SELECT session_id FROM tool_calls GROUP BY session_id "
            "ORDER BY sum(length(result)) DESC, session_id LIMIT 1",
        )
        sessions = [str(store.frame(query).item()) for query in chosen]
        call_of = "SELECT call_id FROM llm_calls WHERE session_id = $id ORDER BY step DESC LIMIT 1"
        calls = [str(store.frame(call_of, {"id": one}).item()) for one in sessions]
        agents = store.frame(
            "SELECT agent FROM cells GROUP BY agent ORDER BY sum(calls) DESC, agent LIMIT 2"
        )["agent"].to_list()
        model = str(store.frame("SELECT mode(model) FROM cells").item())
        sources = store.frame("SELECT DISTINCT source FROM cells ORDER BY 1")["source"].to_list()
        listed = store.frame("SELECT count(*) FROM session_times").item()
        reasons = store.frame("SELECT DISTINCT reason FROM cell_reasons ORDER BY 1")["reason"]
    scopes: list[dict[str, str]] = [
        {},
        *({"source": name} for name in sources),
        *({"session": name} for name in sessions),
        *({"agent": name} for name in agents),
        {"model": model},
    ]
    states: dict[str, list[dict[str, str]]] = {
        "/": [{"view": "tokens"}],
        "/sessions": [{"offset": str(listed - 50)}, {"view": "time"}],
        "/ledger": [{"source": name, "reason": one} for name in sources for one in reasons],
        "/breaks": [{"source": name, "finding": "1"} for name in sources]
        + [{"source": name, "tier": "messages"} for name in sources],
        "/prefixes": [{"by": "session"}, {"by": "file"}],
        "/prefixes/flame": [{"width": "missed"}],
    }
    ids = {"/sessions/": sessions, "/calls/": calls}
    with Store.in_memory() as empty:
        routes = [getattr(route, "path", "") for route in make_app(empty).routes]
    for route in routes:
        page = "/" if route == "/agents.json" else route.removesuffix(".json")
        if page not in TAKES:
            continue
        if "{id" in route:
            ending = ".json" if route.endswith(".json") else ""
            for folder, names in ids.items():
                if route.startswith(folder):
                    for name in names:
                        yield route, f"{folder}{quote(name, safe='')}{ending}"
        else:
            takes = {one.name for one in TAKES[page]}
            for state in [*scopes, *states.get(page, [])]:
                if set(state) <= takes:
                    yield route, route + (f"?{urlencode(state)}" if state else "")


@cache
def _requests(spans: int) -> list[bytes]:
    """Make requests before the server starts: that takes as long as receiving them."""
    return [
        gzip.compress(body, 1)
        for seed in range(-(-spans // MADE))
        for body in llm(MADE, SPANS_A_REQUEST, seed=seed).bodies
    ]


@contextmanager
def _sending(running: Running, requests: Sequence[bytes], spans_per_s: float) -> Iterator[None]:
    """Send live LLM spans at a steady rate meanwhile, for as long as there are any."""
    stop = threading.Event()

    def send() -> None:
        due_s = time.monotonic()
        with httpx.Client(timeout=60) as client:
            for body in requests:
                client.post(f"{running.http}/v1/traces", content=body, headers=HEADERS)
                due_s = max(due_s + SPANS_A_REQUEST / spans_per_s, time.monotonic())
                if stop.wait(due_s - time.monotonic()):
                    return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _ask(client: httpx.Client, running: Running, address: str) -> dict[str, float]:
    """Ask one address; give the milliseconds that the response names, by name."""
    answer = client.get(f"{running.pages}{address}")
    if answer.status_code != 200:
        raise RuntimeError(f"{address}: {answer.status_code}")
    said = answer.headers["server-timing"].split(", ")
    return {name: float(ms) for name, _, ms in (one.partition(";dur=") for one in said)}


def _print(run: Run) -> None:
    print(
        f"{run.calls:,} calls, {run.spans_per_s:,.0f} spans per second ({run.stored_spans:,} "
        f"stored); pages answered {run.start_s:.1f} s after the command"
    )
    print(f"{'ms on the server':<30}{'first looks':>24}{'later looks':>24}{'CPU, all looks':>24}")
    print(f"{'':<30}" + "".join(f"{name:>8}" for name in (*FIGURES,) * 3))
    for route, one in sorted(run.looks.items(), key=lambda item: -_p95(item[1].first)):
        print(f"{route:<30}" + _columns(one), flush=True)
    print(f"{'all':<30}" + _columns(run.all) + "\n", flush=True)


def _columns(one: Looks) -> str:
    looks = one.first, one.later, one.cpu
    figures = (figure(times) for times in looks for figure in FIGURES.values())
    return "".join(f"{ms:>8.0f}" for ms in figures)


def _figures(results: Sequence[Run]) -> dict[str, object]:
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "python": platform.python_version(),
        "duckdb": metadata.version("duckdb"),
        "runs": [
            {
                "calls": run.calls,
                "spans_per_s": run.spans_per_s,
                "stored_spans": run.stored_spans,
                "start_s": round(run.start_s, 2),
                "routes": {
                    route: {
                        f"{look}_{name}_ms": round(figure(times), 1)
                        for look, times in asdict(one).items()
                        for name, figure in FIGURES.items()
                    }
                    for route, one in sorted({**run.looks, "all": run.all}.items())
                },
            }
            for run in results
        ],
    }


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.95 * len(times)))]


FIGURES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "p50": statistics.median,
    "p95": _p95,
    "max": max,
}


if __name__ == "__main__":
    sys.exit(main())

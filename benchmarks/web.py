"""Ask every page of a large database while spans arrive; print what each takes on the server.

usage: python benchmarks/web.py [--calls 15000 --calls 150000 --calls 1000000] [--keep FOLDER]

For each size: a database of kv-cache-tester and tau2-bench, repeated under other ids, a real
`phasewise up` on it, live LLM spans at a steady rate, and then each address of the route table,
pages and JSON, over several scopes: first looks right after the start, and later ones. Times are
those that responses name in `Server-Timing`. Ends with 1 where a route's p95 is above --most-ms or
the pages took longer than --most-start-s to answer.
"""

import argparse
import gzip
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
LATER_LOOKS = 2


@dataclass
class Looks:
    """What one route took, in milliseconds on the server."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)


def main() -> int:
    """Measure each size and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, action="append", help="size of a database")
    parser.add_argument("--keep", type=Path, help="folder that keeps the databases between runs")
    parser.add_argument("--spans-per-s", type=float, default=500.0)
    parser.add_argument("--most-ms", type=float, default=150.0)
    parser.add_argument("--most-start-s", type=float, default=2.0)
    arguments = parser.parse_args()
    passed = True
    for calls in arguments.calls or SIZES:
        with _database(calls, arguments.keep) as path:
            took_s, looks = measure(path, arguments.spans_per_s)
        _print(took_s, looks)
        passed &= took_s <= arguments.most_start_s
        passed &= all(_p95(one.first + one.later) <= arguments.most_ms for one in looks.values())
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
        yield run


def measure(path: Path, spans_per_s: float) -> tuple[float, dict[str, Looks]]:
    """Start, send, ask; give the seconds until the pages answered, and what each route took."""
    asked = list(addresses(path))
    looks: dict[str, Looks] = {}
    began_s = time.monotonic()
    with phasewise(path.parent) as running:
        took_s = time.monotonic() - began_s
        with _sending(running, spans_per_s), httpx.Client(timeout=600) as client:
            for route, address in asked:
                looks.setdefault(route, Looks()).first.append(_ask(client, running, address))
            for _ in range(LATER_LOOKS):
                for route, address in asked:
                    looks[route].later.append(_ask(client, running, address))
    return took_s, looks


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


@contextmanager
def _sending(running: Running, spans_per_s: float) -> Iterator[None]:
    """Send live LLM spans at a steady rate meanwhile."""
    stop = threading.Event()

    def send() -> None:
        wait_s = SPANS_A_REQUEST / spans_per_s
        due_s = time.monotonic()
        seed = 0
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                seed += 1
                for body in llm(1_000, SPANS_A_REQUEST, seed=seed).bodies:
                    client.post(
                        f"{running.http}/v1/traces",
                        content=gzip.compress(body, 1),
                        headers={
                            "content-type": "application/x-protobuf",
                            "content-encoding": "gzip",
                        },
                    )
                    due_s = max(due_s + wait_s, time.monotonic())
                    if stop.wait(due_s - time.monotonic()):
                        return

    thread = threading.Thread(target=send)
    if spans_per_s > 0:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if spans_per_s > 0:
            thread.join()


def _ask(client: httpx.Client, running: Running, address: str) -> float:
    answer = client.get(f"{running.pages}{address}")
    if answer.status_code != 200:
        raise RuntimeError(f"{address}: {answer.status_code}")
    return float(answer.headers["server-timing"].partition("dur=")[2])


def _print(took_s: float, looks: dict[str, Looks]) -> None:
    print(f"pages answered {took_s:.1f} s after the command")
    print(f"{'ms on the server':<34}{'first looks':>22}{'later looks':>22}")
    print(f"{'':<34}{'p50':>11}{'p95':>11}{'p50':>11}{'p95':>11}")
    for route, one in sorted(looks.items(), key=lambda item: -_p95(item[1].first)):
        figures = (f(times) for times in (one.first, one.later) for f in (statistics.median, _p95))
        print(f"{route:<34}" + "".join(f"{ms:>11.0f}" for ms in figures), flush=True)
    every = [ms for one in looks.values() for ms in one.first + one.later]
    print(f"all: p50 {statistics.median(every):.0f} ms, p95 {_p95(every):.0f} ms\n", flush=True)


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.95 * len(times)))]


if __name__ == "__main__":
    sys.exit(main())

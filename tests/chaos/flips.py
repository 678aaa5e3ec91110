"""Flip bits and cut ends in copies of the log and of the database: found out, or harmless."""

import asyncio
import os
import random
import select
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
from phasewise_collector.loader import Loader
from phasewise_collector.log.writer import LogWriter
from phasewise_store.errors import PhasewiseError
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, request
from tests.collector.test_dialects import OPENINFERENCE

SPANS = 120
QUERY = (
    "SELECT trace_id, span_id, name, start_ns, end_ns, attributes FROM spans "
    "WHERE attributes NOT LIKE '%nothing%' ORDER BY ALL"
)
Rows = list[tuple[object, ...]]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


def run(folder: Path, tries: int, *, seed: int = 1) -> Counter[str]:
    """Damage copies `tries` times; give how each ended. `WRONG …` is a broken promise."""
    chance = random.Random(seed)
    _prepare(folder)
    ends: Counter[str] = Counter()
    worker = _Worker(folder)
    for number in range(tries):
        kind = ("log", "database", "wal")[number % 3]
        ends[f"{kind}: {worker.tried(kind, chance.getrandbits(32))}"] += 1
    worker.close()
    return ends


class _Worker:
    """Tries in a process of its own, as an engine may crash, or hang, on what it reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = self._start()

    def tried(self, kind: str, seed: int) -> str:
        """Give how one try ended."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{kind} {seed}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        said = process.stdout.readline().strip() if ready else ""
        if said:
            return said
        self.close()
        self._process = self._start()
        return "crashed: nothing was read wrongly" if ready else "WRONG: it hangs"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.flips", str(self._folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def work(folder: Path) -> None:
    """Answer each line `kind seed` on standard input with how the try ended."""
    with Store.open(folder / "database.duckdb") as store:
        truth = store.frame(QUERY).rows()
    for line in sys.stdin:
        kind, _, seed = line.partition(" ")
        try:
            said = _try(folder, kind, random.Random(int(seed)), truth)
        except Exception as error:  # whatever it is, it is told
            said = f"WRONG {type(error).__name__}: {error}".replace("\n", " ")
        print(said, flush=True)


def _prepare(folder: Path) -> None:
    """Write a log, load it into one database file and into one whose rows are in its WAL."""

    async def write() -> None:
        writer = LogWriter(folder / "log")
        for number in range(1, SPANS + 1):
            body = request(Made(number, trace=number, attributes=OPENINFERENCE))
            await writer.append("traces", "protobuf", "", body.SerializeToString(), accepted=1)
        await writer.close()

    asyncio.run(write())
    with Store.open(folder / "database.duckdb") as store:
        Loader(store, folder / "log").load()
    with Store.open(folder / "wal.duckdb") as store:
        Loader(store, folder / "log").load()
        shutil.copy(folder / "wal.duckdb", folder / "wal-copy.duckdb")
        shutil.copy(folder / "wal.duckdb.wal", folder / "wal-copy.duckdb.wal")


def _try(folder: Path, kind: str, chance: random.Random, truth: Rows) -> str:
    place = folder / f"try-{os.getpid()}"
    place.mkdir()
    try:
        if kind == "log":
            return _log(folder, place, chance, truth)
        name = "database" if kind == "database" else "wal-copy"
        for suffix in ("", ".wal"):
            if (folder / f"{name}.duckdb{suffix}").exists():
                shutil.copy(folder / f"{name}.duckdb{suffix}", place / f"p.duckdb{suffix}")
        damaged = place / ("p.duckdb" if kind == "database" else "p.duckdb.wal")
        _damage(damaged, chance)
        return _database(folder, place / "p.duckdb", truth)
    finally:
        shutil.rmtree(place)


def _damage(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    else:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def _log(folder: Path, place: Path, chance: random.Random, truth: Rows) -> str:
    """Everything but the damaged frame is loaded, and what is loaded is true."""
    shutil.copytree(folder / "log", place / "log")
    (segment,) = (place / "log").glob("*.log")
    _damage(segment, chance)
    with Store.in_memory() as store:
        loader = Loader(store, place / "log")
        loader.load()
        rows = store.frame(QUERY).rows()
        if not set(map(str, rows)) <= set(map(str, truth)):
            return "WRONG rows that never were"
        if len(rows) == len(truth):
            return "harmless"
        whole = segment.stat().st_size < (folder / "log" / segment.name).stat().st_size
        if whole:
            return "end cut off, the rest loaded"  # never acknowledged, as far as a reader can tell
        lost = len(truth) - len(rows)
        return "one frame lost and counted" if lost == 1 else f"WRONG {lost} frames lost"


def _database(folder: Path, path: Path, truth: Rows) -> str:
    """Give an error, or the truth; what a damaged write-ahead log lost comes back from the log."""
    try:
        with Store.open(path) as store:
            before = len(store.frame(QUERY).rows())
            Loader(store, folder / "log").load()
            rows = store.frame(QUERY).rows()
    except (PhasewiseError, duckdb.Error):
        return "detected"
    if rows != truth:
        missing = len(truth) - len(rows)
        return f"WRONG {missing} rows missing" if missing else "WRONG rows that never were"
    return "harmless" if before == len(truth) else "lost by DuckDB, loaded again from the log"


if __name__ == "__main__":
    work(Path(sys.argv[1]))

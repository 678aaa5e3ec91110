"""Import and analyse real traces in a process of its own; print time by stage and peak memory.

usage: python benchmarks/analysis.py [FOLDER] [--most-gb 2]

The folder is ../shared/traces beside the checkout where it is there, else the bundled samples. Ends
with 1 when the peak is above the limit. Times are of this machine now: compare them only with
others of the same run.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phasewise_analyzer import rollups
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.prefixes import reuse
from phasewise_collector import samples
from phasewise_collector.importing import import_paths
from phasewise_store.scope import Scope
from phasewise_store.store import Store

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces"


def main() -> int:
    """Measure in a child, so that its peak is the work's own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--most-gb", type=float, default=2.0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        measure(arguments.folder)
        return 0
    folder = arguments.folder or (SHARED if SHARED.is_dir() else _sample_folder())
    ended = subprocess.run(
        [sys.executable, __file__, str(folder), "--here"], check=False, stdout=sys.stdout
    )
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{'peak memory':<28}{peak_gb:>10.2f} GB   (limit {arguments.most_gb:g})")
    return ended.returncode or int(peak_gb >= arguments.most_gb)


def measure(folder: Path) -> None:
    """Import, analyse, roll up, find prefixes."""
    with tempfile.TemporaryDirectory() as scratch, Store.open(Path(scratch) / "p.duckdb") as store:
        with _timed("import"):
            done = import_paths(store, [folder])
        with _timed("analyse"):
            calls = analyse(store)
        with _timed("roll up agents, sessions"):
            rollups.agents(store)
            rollups.sessions(store)
        names = store.frame("SELECT DISTINCT name FROM sources ORDER BY name")["name"].to_list()
        for name in names:
            with _timed(f"prefixes of {name}"):
                found = reuse.find(store, Scope(source=name))
            share = found.reuse.any_earlier.token_weighted
            print(f"{'':<28}{found.calls:>10,} calls, {100 * share:.2f} % of tokens sent before")
        tokens = rollups.totals(store).input_tokens
        size = (Path(scratch) / "p.duckdb").stat().st_size / 1e6
        print(f"{'read':<28}{done.files:>10,} files, {calls:,} calls, {tokens:,} input tokens")
        print(f"{'database':<28}{size:>10.1f} MB")


@contextmanager
def _timed(label: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    print(f"{label:<28}{time.perf_counter() - begin:>10.2f} s", flush=True)


def _sample_folder() -> Path:
    with samples.folder() as folder:
        return folder


if __name__ == "__main__":
    sys.exit(main())

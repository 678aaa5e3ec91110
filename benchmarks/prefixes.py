"""Time the prefix index and its curves on real prompts of block hashes, beside kvcache-simulator.

usage: python benchmarks/prefixes.py [FOLDER] [--gigatokens 5]

FOLDER holds kv-cache-tester traces (default: ../shared/traces/kv-cache-tester, else the bundled
ones). They are repeated, each copy with block ids of its own, until there are as many tokens; all
sessions run at once, in the order of their starts. Reading the files is not timed: the input is one
array of block ids a call. CPU time of one core; the ratio to the peer is of this run.

`kvcache-simulator` (PyPI, C++ core) replays the trace once for each of its 15 budgets; it is run on
one copy of the traces, and so is the index when the two are compared. Its time includes reading
its trace file; a run with one budget is taken off, so that only the replays count.
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from phasewise_analyzer.prefixes import lru, ttl
from phasewise_analyzer.prefixes.hit_rates import Tokens
from phasewise_analyzer.prefixes.prefix_index import PrefixIndex
from phasewise_collector import samples

SHARED = Path(__file__).resolve().parents[2] / "shared" / "traces" / "kv-cache-tester"
BLOCK_TOKENS = 64
PEER_BUDGETS_GIB = tuple(2**power for power in range(15))


@dataclass(frozen=True, slots=True)
class Call:
    """One prompt."""

    start_s: float
    stream: tuple[int, ...]
    ids: npt.NDArray[np.int64]
    tokens: int


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED if SHARED.is_dir() else None)
    parser.add_argument("--gigatokens", type=float, default=5.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, samples.folder() as bundled:
        once = read(arguments.folder or bundled)
        if not once:
            print(f"no kv-cache-tester traces in {arguments.folder}", file=sys.stderr)
            return 2
        measure(repeated(once, arguments.gigatokens * 1e9))
        compare(once, Path(scratch))
    return 0


def measure(calls: list[Call]) -> None:
    """Time the index over many tokens, and the two curves."""
    tokens = sum(call.tokens for call in calls)
    print(f"{len(calls):,} calls, {tokens / 1e9:.2f} Gtok, blocks of {BLOCK_TOKENS} tokens")
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = PrefixIndex()
    start = time.process_time()
    worst_s = 0.0
    known = 0
    for call in calls:
        begun = time.process_time()
        known += index.add(call.ids, call.stream)
        worst_s = max(worst_s, time.process_time() - begun)
    added_s = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) * 1024
    begun = time.process_time()
    capacity, lifetime = curves(index, calls)
    curves_s = time.process_time() - begun
    whole_s = added_s + curves_s
    print(f"{'longest prefix, stretches':<34}{added_s:>9.2f} s")
    print(f"{'both curves':<34}{curves_s:>9.2f} s")
    print(f"{'all of it, one core':<34}{tokens / whole_s / 1e9:>9.2f} Gtok/s")
    print(f"{'a call, taken in as it comes':<34}{added_s / len(calls) * 1e6:>9.1f} us")
    print(f"{'the slowest of them':<34}{worst_s * 1e6:>9.0f} us")
    print(f"{'memory a call':<34}{grown / len(calls):>9.0f} bytes")
    print(f"{'prompt blocks sent before':<34}{100 * known / capacity.total_blocks:>9.2f} %")
    for rung in lru.ladder(capacity.unique_blocks):
        print(f"  {rung:>12,} blocks {100 * capacity.row(rung).token_weighted:>17.2f} % of tokens")
    if lifetime is not None:
        for ttl_s in (60, 300, 3600):
            share = lifetime.row(ttl_s).token_weighted
            print(f"  {ttl_s:>12,} s      {100 * share:>17.2f} % of tokens")


def curves(index: PrefixIndex, calls: list[Call]) -> tuple[lru.Curve, ttl.TtlCurve | None]:
    """Give the capacity and the lifetime curve."""
    size = np.array([len(call.ids) for call in calls], dtype=np.int64)
    whole = Tokens(
        np.array([call.tokens for call in calls], dtype=np.int64), size.astype(np.float64)
    )
    block_tokens = np.full(len(calls), BLOCK_TOKENS, dtype=np.int64)
    starts = [int(call.start_s * 1e9) for call in calls]
    found = index.stretches()
    return (
        lru.curve(found, size, whole, block_tokens),
        ttl.curve(found, whole, block_tokens, starts),
    )


def compare(calls: list[Call], scratch: Path) -> None:
    """Time the peer on the same calls, and the index again."""
    path = scratch / "trace.jsonl"
    with path.open("w") as file:
        for call in calls:
            line = {
                "block_size": BLOCK_TOKENS,
                "hash_ids": call.ids.tolist(),
                "input_length": max(call.tokens, len(call.ids) * BLOCK_TOKENS),
            }
            file.write(json.dumps(line) + "\n")
    try:
        one_s = _peer(path, PEER_BUDGETS_GIB[:1])
        all_s = _peer(path, PEER_BUDGETS_GIB)
    except FileNotFoundError:
        print("kvcache-simulator is not installed; `make install` installs it")
        return
    except subprocess.CalledProcessError as error:
        print(f"kvcache-simulator failed; its core wants a C++ compiler:\n{error.stderr.decode()}")
        return
    start = time.process_time()
    index = PrefixIndex()
    for call in calls:
        index.add(call.ids, call.stream)
    curve, _ = curves(index, calls)
    for blocks in range(1, curve.unique_blocks, max(1, curve.unique_blocks // 15)):
        curve.row(blocks)
    ours_s = time.process_time() - start
    print(f"the same {len(calls):,} calls, whole curve against {len(PEER_BUDGETS_GIB)} budgets")
    print(f"{'index, both curves':<34}{ours_s:>9.2f} s")
    print(f"{'kvcache-simulator':<34}{all_s:>9.2f} s   ({one_s:.2f} s of it with one budget)")
    replays_s = (all_s - one_s) * len(PEER_BUDGETS_GIB) / (len(PEER_BUDGETS_GIB) - 1)
    print(f"{'its replays alone':<34}{replays_s:>9.2f} s   {replays_s / ours_s:.1f} times ours")


def _peer(path: Path, budgets_gib: tuple[int, ...]) -> float:
    """Run kvcache-simulator; give its CPU time in seconds."""
    command = [
        str(Path(sys.executable).parent / "kvcache-simulator"),
        "run",
        "--trace",
        str(path),
        "--model",
        "glm-5.2",
        "--policies",
        "lru",
        "--budgets-gib",
        ",".join(map(str, budgets_gib)),
        "--no-progress",
        "--format",
        "json",
    ]
    before = _children_s()
    subprocess.run(command, check=True, capture_output=True)
    return _children_s() - before


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def repeated(once: list[Call], tokens: float) -> list[Call]:
    """Repeat the calls, each copy with ids of its own and half an hour later than the last."""
    copies = max(1, -int(-tokens // sum(call.tokens for call in once)))
    step = 1 + max(int(call.ids.max()) for call in once if len(call.ids))
    calls = [
        Call(call.start_s + 1800 * copy, (copy, *call.stream), call.ids + copy * step, call.tokens)
        for copy in range(copies)
        for call in once
    ]
    return sorted(calls, key=lambda call: call.start_s)


def read(folder: Path) -> list[Call]:
    """Read the traces; ids of different files are kept apart."""
    calls: list[Call] = []
    above = 0
    for number, path in enumerate(sorted(folder.rglob("trace_*.json.gz"))):
        with gzip.open(path, "rt") as file:
            found = list(_requests(json.load(file)["requests"], (number,), 0.0))
        for start_s, stream, ids, tokens in found:
            calls.append(Call(start_s, stream, np.array(ids, dtype=np.int64) + above, tokens))
        above += 1 + max((max(ids) for _, _, ids, _ in found if ids), default=0)
    return sorted(calls, key=lambda call: call.start_s)


def _requests(
    entries: list[dict[str, object]], stream: tuple[int, ...], offset_s: float
) -> Iterator[tuple[float, tuple[int, ...], list[int], int]]:
    for place, entry in enumerate(entries):
        inner = entry.get("requests")
        start_s = offset_s + float(str(entry.get("t", 0.0)))
        if isinstance(inner, list):
            yield from _requests(inner, (*stream, place), start_s)
        elif isinstance(ids := entry.get("hash_ids"), list):
            yield start_s, stream, ids, int(str(entry["in"]))


if __name__ == "__main__":
    sys.exit(main())

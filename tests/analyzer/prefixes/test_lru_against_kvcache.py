"""The LRU curve against `kvcache-simulator`, which replays the trace once for every budget.

Its budgets are GiB of a model's KV memory, its hits are tokens, and it counts the calls of the
second half only: the first half fills the cache, and a budget that it does not fill is left out. So
the curve here is made of the stretches of the calls in the second half.

The two are equal, but for one block: of a prompt that is longer than the cache, the other program
keeps one block less than fits (to make room it evicts the block that it put in last, and then finds
the next one's parent gone). The tests allow one block for each such call, and nothing else.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phasewise_analyzer.prefixes import hit_rates, lru, prefix_tree
from phasewise_analyzer.prefixes.hit_rates import Tokens
from phasewise_collector.importing import import_paths
from phasewise_store import reads
from phasewise_store.store import Store

MODEL = "llama-3.1-8b"
"""128 KiB of KV memory a token"""
TENTH_OF_A_POINT = 0.001
KV_CACHE_TESTER = ("0007", "0010", "0011", "0015", "0048", "0054", "0062", "0064", "0073", "0096")
"""ten of its sessions, about 850,000 blocks sent"""


def simulated(path: Path, block_tokens: int, budgets_gib: Sequence[float]) -> dict[int, float]:
    """Give the hit rate by capacity in blocks, as the other program has it."""
    simulator = pytest.importorskip(
        "kvcache_sim", reason="needs kvcache-simulator: pip install kvcache-simulator"
    )
    trace = pytest.importorskip("kvcache_sim.trace").parse_trace_file(path, block_size=block_tokens)
    found = simulator.run_sweep(
        trace,
        model_id=MODEL,
        budgets_gib=list(budgets_gib),
        policies=["lru"],
        backend="python",
    )
    assert found["metadata"]["skippedRecords"] == found["metadata"]["parseErrors"] == 0
    return {
        point["cacheBlocks"]: point["results"]["lru"]["hitRate"]
        for point in found["points"]
        if point["cacheBlocks"]
    }


def second_half(store: Store) -> tuple[lru.Curve, Tokens]:
    """Give the curve over the later half of the calls, in a cache that has seen them all.

    Beside it stand the sizes of the calls, 0 where they are not counted.
    """
    calls = reads.llm_calls(store)
    tree = prefix_tree.read(store)
    block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
    whole = hit_rates.prompts(tree, calls["input_tokens"].to_numpy().astype(np.int64), block_tokens)
    counted = np.arange(calls.height) >= calls.height // 2
    found = lru.stretches(tree)
    late = counted[found.call]
    # tokens behind the last hashed block have no id, and are in no cache
    hashed = np.minimum(whole.tokens, (whole.blocks * block_tokens).astype(np.int64))
    sizes = Tokens(np.where(counted, hashed, 0), np.where(counted, whole.blocks, 0))
    curve = lru.curve(
        lru.Stretches(
            found.call[late],
            found.from_block[late],
            found.to_block[late],
            found.place[late],
            found.before[late],
        ),
        np.append(tree.blocks_end, 0)[tree.leaf],
        sizes,
        block_tokens,
    )
    return curve, sizes


def compare(store: Store, block_tokens: int, expected: dict[int, float]) -> None:
    """Hold the curve to the other program at each of its budgets, and print both."""
    curve, sizes = second_half(store)
    assert len(expected) >= 8
    assert max(expected.values()) - min(expected.values()) > 0.1
    for capacity, rate in expected.items():
        ours = curve.row(capacity).token_weighted
        print(f"{capacity:>8} blocks: {ours:.6f}, kvcache-simulator {rate:.6f}")  # noqa: T201  # for -s
        assert ours == pytest.approx(rate, abs=TENTH_OF_A_POINT)
        longer = int((sizes.blocks > capacity).sum())
        assert -1e-9 <= ours - rate <= longer * block_tokens / curve.total_tokens + 1e-9


def mooncake(shared_traces: Path, path: Path, calls: int | None) -> Path:
    """Write the first calls of the trace."""
    packed = shared_traces / "mooncake" / "conversation_trace.jsonl.gz"
    with gzip.open(packed, "rt") as lines:
        path.write_text("".join(islice(lines, calls)))
    return path


def test_the_start_of_mooncake_at_ten_budgets(
    shared_traces: Path, tmp_path: Path, store: Store
) -> None:
    """On a thousand calls, every budget from 2 to 512 GiB is equal to a tenth of a point."""
    path = mooncake(shared_traces, tmp_path / "mooncake.jsonl", 1000)
    expected = simulated(path, 512, [2, 4, 8, 16, 32, 64, 128, 256, 400, 512])
    import_paths(store, [path])
    compare(store, 512, expected)


@pytest.mark.slow
def test_all_of_mooncake_at_ten_budgets(shared_traces: Path, tmp_path: Path, store: Store) -> None:
    """On the whole trace, every budget from 8 GiB to 4 TiB is equal to a tenth of a point."""
    path = mooncake(shared_traces, tmp_path / "mooncake.jsonl", None)
    expected = simulated(path, 512, [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096])
    import_paths(store, [path])
    compare(store, 512, expected)


def requests(entries: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Give a session's requests, those of sub-agents in their place."""
    for entry in entries:
        if entry["type"] == "subagent":
            yield from requests(entry["requests"])
        else:
            yield entry


@pytest.mark.slow
def test_ten_sessions_of_kv_cache_tester(shared_traces: Path, tmp_path: Path, store: Store) -> None:
    """On coding sessions, every budget from 256 MiB to 128 GiB is equal to a tenth of a point."""
    paths = [
        shared_traces / "kv-cache-tester" / "traces" / f"trace_{one}.json.gz"
        for one in KV_CACHE_TESTER
    ]
    lines = [
        {
            "block_size": 64,
            "input_length": min(one["in"], 64 * len(one["hash_ids"])),
            "hash_ids": [f"{path.name} {block}" for block in one["hash_ids"]],
        }
        for path in paths
        for one in requests(json.loads(gzip.decompress(path.read_bytes()))["requests"])
        if one["hash_ids"]
    ]
    flat = tmp_path / "sessions.jsonl"
    flat.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    expected = simulated(flat, 64, [0.25, 0.5, 1, 2, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256])
    import_paths(store, paths)
    assert reads.llm_calls(store).height == len(lines)
    compare(store, 64, expected)

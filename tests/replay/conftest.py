"""Recorded sessions that replays against real engines send."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from phasewise_collector.importing import import_paths
from phasewise_store.store import Store

ANSWER_LETTERS, OTHER_LETTERS = 60, 3000
"""that are left of a recorded text: a short answer after a long prefill, which is compared"""


@pytest.fixture(scope="module")
def recorded(shared_traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Give a store with real tau-bench sessions whose texts are cut short."""
    packed = shared_traces / "tau-bench" / "gpt-4o-airline.tasks00-24.json.gz"
    tasks = orjson.loads(gzip.decompress(packed.read_bytes()))
    for message in (message for task in tasks for message in task["traj"]):
        letters = ANSWER_LETTERS if message["role"] == "assistant" else OTHER_LETTERS
        message["content"] = message["content"] and message["content"][:letters]
    short = tmp_path_factory.mktemp("short") / "airline.json"
    short.write_bytes(orjson.dumps(tasks))
    with Store.in_memory() as store:
        import_paths(store, [short])
        yield store

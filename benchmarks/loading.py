"""Load live spans into a growing store, in one process; print what one costs at first and at last.

usage: python benchmarks/loading.py [--calls 20000]

LLM calls and small spans as `ingest.py` sends them, from a log as the acceptor writes it: CPU time
a span to load and to analyse, in the first and in the last tenth, and to checkpoint all of them.
Then what reading a call's messages costs where the history before it is remembered and where not.
Only ratios of one run mean anything.
"""

import argparse
import asyncio
import gzip
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from otlp_load import TURN_BYTES, Load, llm, small, turn
from phasewise_analyzer.analyse import Memory, analyse
from phasewise_collector.dialects import histories
from phasewise_collector.dialects.content import content_of
from phasewise_collector.loader import Loader
from phasewise_collector.log.writer import LogWriter
from phasewise_store.store import Store

PARTS = 10
HISTORY_CALLS = 100


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    arguments = parser.parse_args()
    if arguments.calls < PARTS * 100:
        parser.error(f"--calls must be at least {PARTS * 100}, to have {PARTS} parts to compare")
    for load in (llm(arguments.calls), small(5 * arguments.calls)):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(grow(load, Path(folder)))
    read_histories()
    return 0


async def grow(load: Load, folder: Path) -> None:
    """Load a tenth after the other."""
    log = folder / "log"
    writer = LogWriter(log)
    costs = []
    with Store.open(folder / "p.duckdb") as store:
        loader, memory = Loader(store, log), Memory()
        for part in range(PARTS):
            for body in load.bodies[part::PARTS]:
                await writer.append(
                    "traces",
                    "protobuf",
                    "gzip",
                    gzip.compress(body, 1),
                    accepted=load.spans // len(load.bodies),
                    plain_bytes=len(body),
                )
            began_s = time.process_time()
            spans = loader.load()
            loaded_s = time.process_time()
            analyse(store, memory=memory)
            costs.append(((loaded_s - began_s) / spans, (time.process_time() - loaded_s) / spans))
        began_s = time.process_time()
        store.checkpoint()
        checkpoint_s = time.process_time() - began_s
    await writer.close()
    print(f"{load.name}, {load.spans:,}")
    for name, place in (("load", 0), ("analyse", 1)):
        first, last = costs[0][place], costs[-1][place]
        print(
            f"  {name:<12}{1e6 * first:>8.0f} us a span at first {1e6 * last:>8.0f} at last"
            f"   {last / first:>5.2f} times"
        )
    print(f"  checkpoint  {1e3 * checkpoint_s:>8.0f} ms at the end")


def read_histories() -> None:
    """Read the calls of one long session twice: as they are read, and each by itself."""
    chance = random.Random(3)
    messages: list[dict[str, object]] = []
    calls = []
    for _ in range(HISTORY_CALLS):
        messages += [turn(chance, "user"), turn(chance, "assistant")]
        calls.append({"gen_ai.input.messages": json.dumps(messages)})
    with patch.object(histories, "LEAST_CHARACTERS", sys.maxsize):
        _read(calls)  # what is new in them costs the same either way
        plain_s = _read(calls)
    grown_s = _read(calls)
    print(
        f"a session of {HISTORY_CALLS} calls, {2 * HISTORY_CALLS} messages of {TURN_BYTES} bytes\n"
        f"  read on     {1e6 * grown_s:>8.0f} us a call, each anew {1e6 * plain_s:>8.0f}"
        f"   {plain_s / grown_s:>5.2f} times"
    )


def _read(calls: list[dict[str, str]]) -> float:
    began_s = time.process_time()
    for call in calls:
        content_of(dict(call))
    return (time.process_time() - began_s) / len(calls)


if __name__ == "__main__":
    sys.exit(main())

"""How long a simulation takes: Mooncake's trace, agent sessions in a closed loop, longer outputs.

The traces are in ../shared/traces beside the checkout. One core:  python benchmarks/simulator.py
"""

import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from phasewise_analyzer.engine import gpus, model_config, workload
from phasewise_analyzer.engine.closed_loop import simulate_sessions
from phasewise_analyzer.engine.deployment import Deployment, deploy
from phasewise_analyzer.engine.replicas import serve
from phasewise_analyzer.engine.request import Request
from phasewise_analyzer.engine.simulation import Outcome

TRACES = Path(__file__).resolve().parents[2] / "shared" / "traces"
MOONCAKE = TRACES / "mooncake" / "conversation_trace.jsonl.gz"
SESSIONS = TRACES / "kv-cache-tester" / "traces"
SESSION_BLOCK = 64
AT_ONCE = 32
LONGER = 10
BUSY, IDLE = 4, 64
"""replicas; the many are not saturated by the longer outputs, or their queues would be compared"""


def main() -> None:
    """Time each workload and print a table."""
    print("| workload | requests | steps | jumps | seconds |\n|---|--:|--:|--:|--:|")
    small = engine("llama-3.1-8b", "h100", {"block-size": "512"}, tp=1)
    stream = workload.read(MOONCAKE, small.config.block_size)
    first = timed(f"Mooncake, {BUSY} replicas", lambda: serve(stream, small, replicas=BUSY))
    longer = [replace(one, output_tokens=LONGER * one.output_tokens) for one in stream]
    roomy = replace(small, blocks=None)
    as_long = timed(f"Mooncake, {IDLE} replicas", lambda: serve(stream, roomy, replicas=IDLE))
    ten = timed(
        f"the same, outputs {LONGER} times as long", lambda: serve(longer, roomy, replicas=IDLE)
    )
    large = engine("llama-3.1-70b", "h200", {"block-size": str(SESSION_BLOCK)}, tp=8)
    sessions = agent_sessions()
    timed(f"kv-cache-tester, {AT_ONCE} sessions at once", lambda: closed(sessions, large))
    print(f"\n{LONGER}x longer outputs take {ten / as_long:.2f}x the time.")
    print(f"{len(stream) / first:,.0f} requests of Mooncake's trace per second.")


def engine(shape: str, gpu: str, flags: dict[str, str], *, tp: int) -> Deployment:
    """Set an engine up."""
    return deploy(model_config.known(shape), gpus.find(gpu), flags, tp=tp)


def closed(sessions: Sequence[Sequence[Request]], engine: Deployment) -> Outcome:
    """Run sessions whose next call waits for the last one."""
    return simulate_sessions(
        sessions, engine.times, engine.config, blocks=engine.blocks, at_once=AT_ONCE
    )


def agent_sessions() -> list[list[Request]]:
    """Read Claude Code sessions; block ids hold within one file."""
    sessions = []
    number = count()
    for path in sorted(SESSIONS.glob("*.json.gz")):
        document = json.loads(gzip.decompress(path.read_bytes()))
        ids: defaultdict[object, int] = defaultdict(number.__next__)
        calls = [row for row in document["requests"] if row["type"] in {"n", "s"}]
        sessions.append(
            [
                Request(
                    float(row.get("think_time") or 0.0),
                    row["in"],
                    max(1, row["out"]),
                    tuple(ids[one] for one in row["hash_ids"][: row["in"] // SESSION_BLOCK]),
                )
                for row in calls
                if row["in"] > 0
            ]
        )
    return sessions


def timed(name: str, run: Callable[[], Outcome]) -> float:
    """Run a workload, print its row and return the seconds it took."""
    begin = time.perf_counter()
    found = run()
    seconds = time.perf_counter() - begin
    print(
        f"| {name} | {len(found.served):,} | {found.steps:,} | {found.jumps:,} | {seconds:.1f} |",
        flush=True,
    )
    return seconds


if __name__ == "__main__":
    main()

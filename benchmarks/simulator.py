"""How long a simulation takes: Mooncake's trace, agent sessions in a closed loop, longer outputs.

Each workload is given to Dynamo's offline replay, too, where it is installed (`make peers`): the
same requests and the same number of engines, with Dynamo's own step times and KV blocks. Reading
the trace is not counted for either. Vidur installs, but its step times come from a data set on
Hugging Face; of AISimulate PyPI has only a stub. Neither is timed.

The traces are in ../shared/traces beside the checkout. One core:  python benchmarks/simulator.py
"""

import gzip
import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from phasewise_analyzer.engine.deployments.deployment import Deployment, deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.runs import workload
from phasewise_analyzer.engine.runs.closed_loop import simulate_sessions
from phasewise_analyzer.engine.runs.replicas import serve
from phasewise_analyzer.engine.runs.simulation import Outcome
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.shapes import model_config

ROOT = Path(__file__).resolve().parents[1]
TRACES = ROOT.parent / "shared" / "traces"
DYNAMO = ROOT / ".engines" / "peers" / "dynamo" / "bin" / "python"
MOONCAKE = TRACES / "mooncake" / "conversation_trace.jsonl.gz"
SESSIONS = TRACES / "kv-cache-tester" / "traces"
MOONCAKE_BLOCK = 512
SESSION_BLOCK = 64
AT_ONCE = 32
LONGER = 10
BUSY, IDLE = 4, 64
"""replicas; the many are not saturated by the longer outputs, or their queues would be compared"""


def main() -> None:
    """Time each workload and print a table."""
    print(
        "| workload | requests | steps | jumps | seconds | Dynamo, s |\n|---|--:|--:|--:|--:|--:|"
    )
    small = engine("llama-3.1-8b", "h100", {"block-size": str(MOONCAKE_BLOCK)}, tp=1)
    stream = workload.read(MOONCAKE, MOONCAKE_BLOCK)
    first = timed(
        f"Mooncake, {BUSY} replicas",
        lambda: serve(stream, small, replicas=BUSY),
        lambda: dynamo([[one] for one in stream], MOONCAKE_BLOCK, BUSY),
    )
    longer = [replace(one, output_tokens=LONGER * one.output_tokens) for one in stream]
    roomy = replace(small, blocks=None)
    as_long = timed(
        f"Mooncake, {IDLE} replicas",
        lambda: serve(stream, roomy, replicas=IDLE),
        lambda: dynamo([[one] for one in stream], MOONCAKE_BLOCK, IDLE),
    )
    ten = timed(
        f"the same, outputs {LONGER} times as long",
        lambda: serve(longer, roomy, replicas=IDLE),
        lambda: dynamo([[one] for one in longer], MOONCAKE_BLOCK, IDLE),
    )
    large = engine("llama-3.1-70b", "h200", {"block-size": str(SESSION_BLOCK)}, tp=8)
    sessions = agent_sessions()
    closed = timed(
        f"kv-cache-tester, {AT_ONCE} sessions at once",
        lambda: at_once(sessions, large),
        lambda: dynamo(sessions, SESSION_BLOCK, 1, AT_ONCE),
    )
    talkative = [
        [replace(one, output_tokens=LONGER * one.output_tokens) for one in session]
        for session in sessions
    ]
    talked = timed(
        f"the same, outputs {LONGER} times as long",
        lambda: at_once(talkative, replace(large, blocks=None)),
        lambda: dynamo(talkative, SESSION_BLOCK, 1, AT_ONCE),
    )
    print(
        f"\n{LONGER}x longer outputs take {ten / as_long:.2f}x the time in the open loop, "
        f"{talked / closed:.2f}x in the closed one."
    )
    print(f"{len(stream) / first:,.0f} requests of Mooncake's trace per second.")


def engine(shape: str, gpu: str, flags: dict[str, str], *, tp: int) -> Deployment:
    """Set an engine up."""
    return deploy(model_config.known(shape), gpus.find(gpu), flags, tp=tp)


def at_once(sessions: Sequence[Sequence[Request]], engine: Deployment) -> Outcome:
    """Run sessions whose next call waits for the last one."""
    return simulate_sessions(
        sessions, engine.times, engine.config, blocks=engine.blocks, at_once=AT_ONCE
    )


def dynamo(
    sessions: Iterable[Sequence[Request]], block: int, workers: int, *concurrency: int
) -> float:
    """Return the seconds that Dynamo takes for the same requests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        path.write_text("\n".join(map(json.dumps, rows(sessions, block))))
        script = Path(__file__).with_name("dynamo_replay.py")
        words = [DYNAMO, script, path, block, workers, *concurrency]
        done = subprocess.run(
            [str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True
        )
    return float(json.loads(done.stdout)["seconds"])


def rows(sessions: Iterable[Sequence[Request]], block: int) -> Iterable[dict[str, object]]:
    """Write requests in Mooncake's form; a last block that is not full has an id of its own."""
    ids: defaultdict[object, int] = defaultdict(count().__next__)
    for number, session in enumerate(sessions):
        for place, one in enumerate(session):
            known = [ids[digest] for digest in one.digests]
            missing = -(-one.input_tokens // block) - len(known)
            row: dict[str, object] = {
                "input_length": one.input_tokens,
                "output_length": one.output_tokens,
                "hash_ids": known + [ids[number, place, block] for block in range(missing)],
            }
            if len(session) > 1:
                row["session_id"] = str(number)
            wait_ms = 1e3 * one.arrival_s
            yield row | ({"delay": wait_ms} if place else {"timestamp": wait_ms})


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


def timed(name: str, run: Callable[[], Outcome], peer: Callable[[], float]) -> float:
    """Run a workload, print its row and return the seconds it took."""
    begin = time.perf_counter()
    found = run()
    seconds = time.perf_counter() - begin
    other = f"{peer():.1f}" if DYNAMO.exists() else "not installed"
    print(
        f"| {name} | {len(found.served):,} | {found.steps:,} | {found.jumps:,} | {seconds:.1f} "
        f"| {other} |",
        flush=True,
    )
    return seconds


if __name__ == "__main__":
    main()

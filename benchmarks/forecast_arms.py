"""What the engine model says of each arm beside what a real vLLM on this CPU does.

Prefix caching, the size of a chunk and n-gram speculation, on recorded sessions, four at once. Each
arm has a run of its own, so that blocks of the baseline are close to its own in time. The
baseline's server is calibrated first, and the one that verifies drafts before its run. It takes a
quarter of an hour, and nothing else should run: python benchmarks/forecast_arms.py
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import orjson
from phasewise_analyzer.analyse import analyse
from phasewise_collector.importing import import_paths
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import VLLM as DIALECT
from phasewise_replay.engines import engine_python, vllm_plugin
from phasewise_replay.engines.server_process import ServerProcess, free_port
from phasewise_replay.engines.vllm_command import command, environment
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.presets import FlagValue
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_store.store import Store
from phasewise_web.cli.calibrate import LOG
from phasewise_web.cli.forecast_table import print_forecasts
from phasewise_web.cli.main import main as phasewise

TRACES = Path(__file__).resolve().parents[2] / "shared" / "traces"
MODEL = ".engines/tiny"
VLLM = ".engines/vllm"
VARIABLES = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""no worker process beside the engine's: it takes a third more of a CPU"""
FLAGS: dict[str, FlagValue] = {
    "max-model-len": 8192,
    "max-num-batched-tokens": 2048,
    "num-gpu-blocks-override": 2048,
    "distributed-executor-backend": "uni",
}
NGRAM: FlagValue = {
    "method": "ngram",
    "num_speculative_tokens": 3,
    "prompt_lookup_max": 3,
    "prompt_lookup_min": 2,
}
AT_ONCE = 4
PLAN = f"""
name: forecast-arms
sessions: {{source: tau-bench, limit: 12, max_calls: 6}}
concurrency: {AT_ONCE}
repeats: 2
arms:
"""


def main() -> None:
    """Calibrate, replay, and print."""
    drafting = {"speculative-config": NGRAM}
    with TemporaryDirectory() as folder, Store.in_memory() as store:
        import_paths(store, [TRACES / "tau-bench"])
        analyse(store)
        calibration = Path(folder) / "baseline.json"
        calibrate(calibration, {})
        for one in (
            arm("no-caching", caching=False, chunk=2048),
            arm("chunk-256", caching=True, chunk=256),
        ):
            compared(store, text(one, calibration, {}))
        own = Path(folder) / "ngram.json"
        calibrate(own, drafting)
        ngram = arm("ngram", caching=True, chunk=2048, more=drafting)
        compared(store, text(ngram, calibration, {"ngram": str(own)}))


def compared(store: Store, plan: str) -> None:
    """Run a plan, and print what was said beside what was measured."""
    verdict = compare(store, run(store, plan_file.parse(plan, "the benchmark's plan")))
    print(verdict.headline)
    for check in verdict.fidelity.checks:
        if not check.passed:
            print(f"VOID: {check.title}, {check.value}: {check.detail}")
    print_forecasts(verdict.forecasts)
    for one in verdict.service:
        if one.acceptance_length is not None:
            print(
                f"  acceptance length of {one.arm} as counted: {one.acceptance_length:.2f} tokens"
            )


def calibrate(path: Path, more: Mapping[str, FlagValue]) -> None:
    """Start the baseline's server, with more flags, fit its step times, and stop it."""
    port = free_port()
    words = command(
        engine_python.find("vllm", VLLM),
        model=MODEL,
        port=port,
        flags=FLAGS | {vllm_plugin.FLAG: True} | dict(more),
        on_cpu=True,
    )
    steps = path.with_suffix(".steps")
    variables = environment(VARIABLES, on_cpu=True)
    server = ServerProcess(words, vllm_plugin.install(steps, steps / LOG, variables))
    url = f"http://127.0.0.1:{port}"
    client = OpenAiClient(url, dialect=DIALECT)
    try:
        server.wait_until(client.healthy, timeout_s=300)
        done = phasewise(
            ["calibrate", url, "--step-log", str(steps), "--seconds", "100", "--out", str(path)]
        )
    finally:
        client.close()
        server.stop()
    if done != 0:
        sys.exit(done)


def text(compared: str, calibration: Path, own: Mapping[str, str]) -> str:
    """Write the plan of the baseline and one arm."""
    arms = "\n".join(
        f"  - {one}" for one in (arm("chunk-2048", caching=True, chunk=2048), compared)
    )
    step_times = orjson.dumps({"calibration": str(calibration), "arms": own}).decode()
    return f"{PLAN}{arms}\nforecast: {step_times}\n"


def arm(
    name: str, *, caching: bool, chunk: int, more: Mapping[str, FlagValue] = MappingProxyType({})
) -> str:
    """Write one arm."""
    flags = FLAGS | {"enable-prefix-caching": caching, "max-num-batched-tokens": chunk}
    flags |= more
    return orjson.dumps(
        {
            "name": name,
            "engine": "vllm",
            "model": MODEL,
            "python": VLLM,
            "flags": flags,
            "env": VARIABLES,
        }
    ).decode()


if __name__ == "__main__":
    main()

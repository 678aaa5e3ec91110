"""Calibrates a real engine on this CPU, then compares its own runs with the simulation's forecasts.

Sessions of growing prompts run at several concurrencies, each three times with a cold cache. The
calibration has seen none of them; it is made anew before each concurrency, since the speed of a
small machine drifts. SGLang counts the time of its prefill and decode steps, which never mix, and
vLLM logs its steps through the replay's plugin: the phases to which the simulation attributes time
are held against both. The steps that vLLM ran are also timed by the fit, kind by kind, so that
errors of the fit are told apart from those of the schedule. Run it on an idle machine:
python benchmarks/calibrated_server.py --engine vllm
python benchmarks/calibrated_server.py --engine sglang
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
from phasewise_analyzer.engine.deployments.calibration import Calibration
from phasewise_analyzer.engine.runs import logged_steps
from phasewise_analyzer.engine.runs.closed_loop import simulate_sessions
from phasewise_analyzer.engine.schedulers.request import Request as SimulatedRequest
from phasewise_analyzer.engine.step_times.fitted_steps import KINDS, StepKind, kind_of
from phasewise_analyzer.engine.step_times.kernel_preparation import PreparedKernels
from phasewise_replay.calibration import measuring
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import SGLANG, VLLM, Dialect
from phasewise_replay.engine import PhaseSeconds, Request
from phasewise_replay.engines import engine_python, sglang_command, vllm_command, vllm_plugin
from phasewise_replay.engines.server_process import ServerProcess, free_port
from phasewise_replay.engines.sglang_counters import StepClock
from phasewise_replay.engines.step_log import StepLog
from phasewise_replay.plans.presets import FlagValue

MODEL = ".engines/tiny"
SESSIONS, CALLS = 32, 4
FIRST_TOKENS, ADDED_TOKENS, OUTPUT_TOKENS = 600, 250, 40
CONCURRENCIES = (1, 4, 16)
REPEATS = 3
SECONDS = 60.0

Prompts = list[list[list[int]]]
"""by session and call"""


@dataclass(frozen=True)
class Engine:
    """How an engine is started, spoken to and given a cold cache."""

    commands: ModuleType
    dialect: Dialect
    flags: Mapping[str, FlagValue]
    reset: str
    variables: Mapping[str, str] = field(default_factory=dict)


ENGINES = {
    "vllm": Engine(
        vllm_command,
        VLLM,
        {
            "max-model-len": 8192,
            "num-gpu-blocks-override": 4096,
            "distributed-executor-backend": "uni",
            vllm_plugin.FLAG: True,
        },
        "/reset_prefix_cache",
        # no worker process, as on one GPU: two that wait busily on two cores starve the API server,
        # and the client gets all tokens of a call in one burst at its end
        {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
    ),
    "sglang": Engine(sglang_command, SGLANG, {}, "/flush_cache"),
}


@dataclass(frozen=True)
class Run:
    """What a run took."""

    makespan_s: float
    ttft_p50_s: float
    cached_tokens: int
    steps: PhaseSeconds | None = None
    """engine time by phase, where the engine counts it"""
    kinds: Mapping[StepKind, float] = field(default_factory=dict)
    """time of the steps by kind, where the engine logs them; of a forecast, by the fit"""


def main() -> None:
    """Start the engine, calibrate, measure, forecast, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="vllm")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the calibration")
    parser.add_argument(
        "--counters", action="store_true", help="calibrate vLLM by its counters, not its step log"
    )
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    engine = ENGINES[arguments.engine]
    with tempfile.TemporaryDirectory(prefix="phasewise-steps-") as folder:
        serve(arguments, engine, Path(folder))


def serve(arguments: argparse.Namespace, engine: Engine, folder: Path) -> None:
    """Run the server, with a folder for its step log."""
    port = free_port()
    environment = engine.commands.environment(engine.variables, on_cpu=True)
    log: StepLog | None = None
    if arguments.engine == "vllm":
        environment = vllm_plugin.install(folder, folder / "steps", environment)
        log = StepLog(folder / "steps", drafts=False)
    words = engine.commands.command(
        engine_python.find(arguments.engine, None),
        model=MODEL,
        port=port,
        flags=engine.flags,
        on_cpu=True,
    )
    server = ServerProcess(words, environment)
    client = OpenAiClient(f"http://127.0.0.1:{port}", dialect=engine.dialect)
    try:
        server.wait_until(client.healthy, timeout_s=300)
        print(f"| at once | | measured ({arguments.repeats} runs) | forecast | error |")
        print("|--:|---|--:|--:|--:|")
        for at_once in CONCURRENCIES:
            found = measuring.calibrate(
                client,
                seconds=arguments.seconds,
                sequences=max(CONCURRENCIES),
                log=None if arguments.counters else log,
            )
            print(f"step times: {found.times.basis.source}; {found.front}", file=sys.stderr)
            runs, forecasts = [], []
            for repeat in range(arguments.repeats):
                prompts = made_up(seed=repeat * 100 + at_once)
                client.post(engine.reset)
                since = watched(client, found, log)
                measured = replace(measure(client, prompts, at_once), steps=since())
                guessed = forecast(found, prompts, at_once)
                if log is not None:
                    kinds, fitted = by_kind(found, log)
                    measured = replace(measured, kinds=kinds)
                    guessed = replace(guessed, kinds=fitted)
                runs.append(measured)
                forecasts.append(guessed)
            report(at_once, runs, forecasts)
    finally:
        client.close()
        server.stop()


def watched(
    client: OpenAiClient, found: Calibration, log: StepLog | None
) -> Callable[[], PhaseSeconds | None]:
    """Measure the engine's steps from now on; the result returns their time by phase."""
    if log is None:
        return StepClock(client, late=found.config.late_tokens).since
    log.mark()
    return partial(logged, log)


def logged(log: StepLog) -> PhaseSeconds:
    """Return the time of logged steps by phase."""
    found = log.shared()
    assert isinstance(found, PhaseSeconds), found
    return found


def by_kind(
    found: Calibration, log: StepLog
) -> tuple[Mapping[StepKind, float], Mapping[StepKind, float]]:
    """Return the time of the logged steps by kind, and that of the same batches by the fit."""
    measured, fitted = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0.0)
    prepared = PreparedKernels(found.times.preparation)
    for steps in log.steps().values():
        for step in logged_steps.place(steps).steps:
            kind = kind_of(step.batch)
            measured[kind] += step.seconds
            fitted[kind] += found.times.step_s(step.batch) + prepared.missing_s(step.batch.tokens)
            prepared.keep(step.batch.tokens)
    return measured, fitted


def made_up(*, seed: int) -> Prompts:
    """Make sessions whose prompts grow, as an agent's do; nothing is shared between sessions."""
    drawn = np.random.default_rng(seed)
    sessions = []
    for _ in range(SESSIONS):
        prompt: list[int] = []
        calls = []
        for call in range(CALLS):
            mean = ADDED_TOKENS if call else FIRST_TOKENS
            added = int(drawn.integers(mean // 2, mean * 3 // 2))
            prompt = prompt + [int(one) for one in drawn.integers(300, 8000, added)]
            calls.append(prompt)
        sessions.append(calls)
    return sessions


def measure(client: OpenAiClient, prompts: Prompts, at_once: int) -> Run:
    """Send all sessions, so many at once."""

    def serve(session: list[list[int]]) -> list[tuple[float, int]]:
        answers = []
        for prompt in session:
            ids = np.array(prompt, dtype=np.int64)
            answer = client.send(Request("", "", "", 0, OUTPUT_TOKENS, prompt_token_ids=ids))
            assert answer.error is None, answer.error
            answers.append(((answer.ttft_ns or 0) / 1e9, answer.cached_tokens or 0))
        return answers

    begin = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(itertools.chain.from_iterable(pool.map(serve, prompts)))
    makespan = time.perf_counter() - begin
    return Run(
        makespan, float(np.median([one[0] for one in answers])), sum(one[1] for one in answers)
    )


def forecast(found: Calibration, prompts: Prompts, at_once: int) -> Run:
    """Simulate the same sessions."""
    size = found.config.block_size
    sessions = [
        [
            SimulatedRequest(0.0, len(one), OUTPUT_TOKENS, digests(one, size), forced=True)
            for one in session
        ]
        for session in prompts
    ]
    outcome = simulate_sessions(
        sessions,
        found.times,
        found.config,
        blocks=found.blocks,
        at_once=at_once,
        front=found.front,
    )
    return Run(
        max(one.last_s for one in outcome.served),
        float(np.median([one.ttft_s for one in outcome.served])),
        sum(one.cached_tokens for one in outcome.served),
        PhaseSeconds(outcome.prefill_s, outcome.busy_s - outcome.prefill_s),
    )


def digests(prompt: Sequence[int], size: int) -> tuple[int, ...]:
    """Return chained ids of a prompt's full blocks."""
    found, last = [], 0
    for block in range(len(prompt) // size):
        last = hash((last, tuple(prompt[block * size : (block + 1) * size])))
        found.append(last)
    return tuple(found)


def report(at_once: int, runs: Sequence[Run], forecasts: Sequence[Run]) -> None:
    """Print a row per measure."""
    row(at_once, "makespan s", runs, forecasts, lambda run: run.makespan_s)
    row(at_once, "TTFT p50 s", runs, forecasts, lambda run: run.ttft_p50_s)
    row(at_once, "cached tokens", runs, forecasts, lambda run: run.cached_tokens, digits=0)
    if all(run.steps is not None for run in runs):
        row(at_once, "prefill steps s", runs, forecasts, lambda run: phases(run).prefill_s)
        row(at_once, "decode steps s", runs, forecasts, lambda run: phases(run).decode_s)
    for kind in KINDS if all(run.kinds for run in runs) else ():
        row(at_once, f"its {kind} steps s", runs, forecasts, partial(of_kind, kind))


def of_kind(kind: StepKind, run: Run) -> float:
    """Return the time of one kind of steps."""
    return run.kinds[kind]


def phases(run: Run) -> PhaseSeconds:
    """Return the engine time of a run by phase."""
    assert run.steps is not None
    return run.steps


def row(
    at_once: int,
    name: str,
    runs: Sequence[Run],
    forecasts: Sequence[Run],
    of: Callable[[Run], float],
    *,
    digits: int = 3,
) -> None:
    """Print a measure: mean and range of the runs, the forecast, its error."""
    measured = np.array([of(run) for run in runs])
    guessed = float(np.mean([of(run) for run in forecasts]))
    error = guessed / measured.mean() - 1 if measured.mean() else 0.0
    print(
        f"| {at_once} | {name} | {measured.mean():,.{digits}f} "
        f"({measured.min():,.{digits}f} to {measured.max():,.{digits}f}) "
        f"| {guessed:,.{digits}f} | {error:+.1%} |",
        flush=True,
    )


if __name__ == "__main__":
    main()

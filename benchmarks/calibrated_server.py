"""Calibrates a real vLLM on this CPU, then compares its own runs with the simulation's forecasts.

Sessions of growing prompts run at several concurrencies, each three times with a cold cache. The
calibration has seen none of them. Run it on an idle machine:
python benchmarks/calibrated_server.py
"""

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from phasewise_analyzer.engine.calibration import Calibration
from phasewise_analyzer.engine.closed_loop import simulate_sessions
from phasewise_analyzer.engine.request import Request as SimulatedRequest
from phasewise_replay import engine_python
from phasewise_replay.calibration import measuring
from phasewise_replay.engine import Request
from phasewise_replay.openai_client import OpenAiClient
from phasewise_replay.request_body import VLLM
from phasewise_replay.server_process import ServerProcess, free_port
from phasewise_replay.vllm_command import command, environment

MODEL = ".engines/tiny"
FLAGS = {"max-model-len": 8192, "num-gpu-blocks-override": 4096}
SESSIONS, CALLS = 32, 4
FIRST_TOKENS, ADDED_TOKENS, OUTPUT_TOKENS = 600, 250, 40
CONCURRENCIES = (1, 4, 16)
REPEATS = 3
SECONDS = 150.0

Prompts = list[list[list[int]]]
"""by session and call"""


@dataclass(frozen=True)
class Run:
    """What a run took."""

    makespan_s: float
    ttft_p50_s: float
    cached_tokens: int


def main() -> None:
    """Start vLLM, calibrate, measure, forecast, print."""
    port = free_port()
    words = command(
        engine_python.find("vllm", None), model=MODEL, port=port, flags=FLAGS, on_cpu=True
    )
    server = ServerProcess(words, environment({}, on_cpu=True))
    client = OpenAiClient(f"http://127.0.0.1:{port}", dialect=VLLM)
    try:
        server.wait_until(client.healthy, timeout_s=300)
        found = measuring.calibrate(client, seconds=SECONDS, sequences=max(CONCURRENCIES))
        print(f"step times: {found.times.basis.source}")
        print(f"front: {found.front}\n")
        print("| at once | | measured (three runs) | forecast | error |\n|--:|---|--:|--:|--:|")
        for at_once in CONCURRENCIES:
            runs, forecasts = [], []
            for repeat in range(REPEATS):
                prompts = made_up(seed=repeat * 100 + at_once)
                runs.append(measure(client, prompts, at_once))
                forecasts.append(forecast(found, prompts, at_once))
            report(at_once, runs, forecasts)
    finally:
        client.close()
        server.stop()


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
    client.post("/reset_prefix_cache")

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
        [SimulatedRequest(0.0, len(one), OUTPUT_TOKENS, digests(one, size)) for one in session]
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
    for name, unit in (("makespan_s", "s"), ("ttft_p50_s", "s"), ("cached_tokens", "tokens")):
        measured = np.array([getattr(one, name) for one in runs])
        guessed = float(np.mean([getattr(one, name) for one in forecasts]))
        error = guessed / measured.mean() - 1 if measured.mean() else 0.0
        digits = 0 if unit == "tokens" else 3
        print(
            f"| {at_once} | {name} | {measured.mean():,.{digits}f} "
            f"({measured.min():,.{digits}f} to {measured.max():,.{digits}f}) "
            f"| {guessed:,.{digits}f} | {error:+.1%} |"
        )


if __name__ == "__main__":
    main()

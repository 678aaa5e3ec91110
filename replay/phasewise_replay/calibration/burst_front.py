"""The front of a server, from prompts alone and from bursts of prompts.

Alone, a prompt tells the latency: what its first token took beyond the engine's own time. How long
the front is busy with a request shows in bursts only, where requests wait for it while the engine
computes, on the same cores. So bursts are simulated with the fitted step times, and the front is
the one with which they take as long as measured.
"""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.scheduler import EngineConfig
from phasewise_analyzer.engine.step_times.batch import StepTimes
from phasewise_analyzer.engine.step_times.front import Front

from phasewise_replay.calibration.probes import BURST_DECODED, Limits
from phasewise_replay.calibration.sending import Sender

REPEATS = 3
TOKENS = (8, 256, 1024)
SHARES = (1.0, 0.25)
"""prompts of a burst, in parts of the sequences that may run at once"""
MOST_TOKEN_S = 10e-6
"""busy time per prompt token, at most: a thousand tokens in 10 ms"""
TRIED, ROUNDS = 7, 3
"""values of each of the two parts of the busy time that are tried, ever closer to the best ones"""


@dataclass(frozen=True, slots=True)
class Burst:
    """Prompts of one length that were sent together, none of them cached."""

    tokens: int
    sent_s: tuple[float, ...]
    """when each was sent, in order, since the first"""
    ttft_s: float
    """mean time to first token"""


def measured_bursts(sender: Sender, limits: Limits) -> list[Burst]:
    """Send bursts, as many prompts at once as the limits allow and fewer."""
    counts = sorted({round(limits.sequences * share) for share in SHARES} - {0, 1})
    return [
        _middle([_burst(sender, count, tokens) for _ in range(REPEATS)])
        for count in counts
        for tokens in TOKENS
        if tokens + BURST_DECODED <= limits.tokens
        and (limits.cache_tokens is None or count * (tokens + BURST_DECODED) <= limits.cache_tokens)
    ]


def _middle(bursts: list[Burst]) -> Burst:
    return sorted(bursts, key=lambda burst: burst.ttft_s)[len(bursts) // 2]


def _burst(sender: Sender, count: int, tokens: int) -> Burst:
    prompts = [sender.prompt(tokens) for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda prompt: sender.send(prompt, BURST_DECODED), prompts))
    sent = sorted(answer.begin_ns for answer in answers)
    waits = [answer.token_ns()[0] - answer.begin_ns for answer in answers]
    return Burst(tokens, tuple((at - sent[0]) / 1e9 for at in sent), float(np.mean(waits)) / 1e9)


def of_lone(lone: Sequence[tuple[int, float]]) -> Front:
    """Return the latency from lone prompts: their tokens, and the time beyond the engine's own.

    What a token adds is the median slope between prompts of unlike lengths (Theil and Sen): some
    prompts are held up by other processes.
    """
    tokens, seconds = (np.array(column, dtype=np.float64) for column in zip(*lone, strict=True))
    one, two = np.triu_indices(len(tokens), k=1)
    unlike = tokens[one] != tokens[two]
    one, two = one[unlike], two[unlike]
    slopes = (seconds[two] - seconds[one]) / (tokens[two] - tokens[one])
    token_s = max(0.0, float(np.median(slopes))) if len(slopes) else 0.0
    return Front(max(0.0, float(np.median(seconds - token_s * tokens))), token_s=token_s)


def of_bursts(
    latency: Front,
    bursts: Sequence[Burst],
    times: StepTimes,
    config: EngineConfig,
    *,
    blocks: int | None,
) -> Front:
    """Return the front with the busy time that explains the bursts best, by relative error."""
    if not bursts:
        return latency
    most = np.array([latency.latency_s, MOST_TOKEN_S])
    best, reach, least = most / 2, most / 2, np.inf
    found = latency
    for _ in range(ROUNDS):
        low, high = np.maximum(0.0, best - reach), np.minimum(most, best + reach)
        for busy_s, token_s in itertools.product(*np.linspace(low, high, TRIED).T):
            front = replace(latency, busy_s=float(busy_s), busy_token_s=float(token_s))
            off = sum(
                np.log(_ttft_s(burst, front, times, config, blocks=blocks) / burst.ttft_s) ** 2
                for burst in bursts
            )
            if off < least:
                found, least = front, off
        best = np.array([found.busy_s, found.busy_token_s])
        reach = reach / (TRIED - 1) * 2
    return found


def _ttft_s(
    burst: Burst, front: Front, times: StepTimes, config: EngineConfig, *, blocks: int | None
) -> float:
    """Return the mean time to first token of a burst that is simulated."""
    requests = [Request(at_s, burst.tokens, BURST_DECODED, ()) for at_s in burst.sent_s]
    served = simulate(requests, times, config, blocks=blocks, front=front).served
    return float(np.mean([one.ttft_s for one in served]))

"""Sends the prompts of probes to a server.

Every prompt is of token ids of its own, so that nothing is cached but what a probe caches first.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from phasewise_store.errors import EngineError, UsageError

from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.streamed_response import TimedAnswer
from phasewise_replay.engine import Request

BURSTS, BURST_TOKENS = 7, 8
FIRST_ID = 300
"""ids below are often special tokens"""


def busy(requests: float) -> UsageError:
    """Return the refusal of a server that has so many requests."""
    return UsageError(
        f"the server is busy ({requests:.0f} requests): its steps would hold more than the probes; "
        "calibrate when it is idle"
    )


def disturbed() -> UsageError:
    """Return the refusal of what was measured while others used the server."""
    return UsageError(
        "other requests were served meanwhile: the measured steps are not the probes' alone; "
        "calibrate again when the server is idle"
    )


class Sender:
    """Sends prompts and counts them."""

    def __init__(self, client: OpenAiClient, *, vocabulary: int) -> None:
        self.client = client
        self.sent = 0
        self._ids = np.random.default_rng()
        self._vocabulary = vocabulary
        self._counting = threading.Lock()

    def prompt(self, tokens: int) -> list[int]:
        """Make a prompt that nobody has sent before."""
        return [int(one) for one in self._ids.integers(FIRST_ID, self._vocabulary, tokens)]

    def send(
        self, prompt: Sequence[int], output: int, started: Callable[[], object] = int
    ) -> TimedAnswer:
        """Send a prompt; `started` is called at the first token.  Raises EngineError."""
        with self._counting:
            self.sent += 1
        ids = np.array(prompt, dtype=np.int64)
        request = Request("", "calibration", "", 0, output, prompt_token_ids=ids)
        answer = self.client.timed(request, started)
        if answer.answer.error is not None:
            raise EngineError(f"the server failed at a probe: {answer.answer.error}")
        return answer

    def front_busy_s(self, count: int) -> float:
        """Return for how long the server's front is busy with one request.

        It takes the requests of a burst one after another, while the engine reads their short
        prompts in a few steps.
        """
        bursts = [self._burst_s(count) for _ in range(BURSTS)]
        alone = [self._burst_s(1) for _ in range(BURSTS)]
        return max(0.0, float(np.median(bursts) - np.median(alone)) / (count - 1))

    def _burst_s(self, count: int) -> float:
        """Return the time from the first request of a burst to the last first token."""
        prompts = [self.prompt(BURST_TOKENS) for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(lambda prompt: self.send(prompt, 1), prompts))
        begin = min(answer.begin_ns for answer in answers)
        return (max(answer.token_ns()[0] for answer in answers) - begin) / 1e9

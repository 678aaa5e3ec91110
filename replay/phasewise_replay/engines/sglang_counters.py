"""SGLang's own counters of its steps, from `/v1/loads` and `/metrics`: measured time by phase.

It counts the time of all prefill steps, and of decode steps that follow one another (0.5.23,
srt/managers/scheduler, _record_step_counters); it never mixes the two in a step. Calibration and
the engine time of a replay stand on it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from phasewise_store.errors import UsageError

from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.engine import PhaseSeconds
from phasewise_replay.engines import prometheus

LOADS = "/v1/loads?include=all"
DECODED = "sglang:realtime_tokens_total"
SETTLE_S, PATIENCE_S = 0.05, 2.0
"""after the last answer the counters lag behind for some milliseconds"""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the server has counted so far."""

    requests: int
    """running and waiting now"""
    prefill_tokens: int
    prefill_s: float
    decode_steps: float
    """that follow another decode step, as the next two"""
    decoded: float
    """tokens of these steps"""
    decode_s: float


class StepClock:
    """Measures the steps between two moments in which the server is idle.

    `late` is a server whose scheduler also computes, as on a CPU: it reads the result of a prefill
    after the decode step that follows, whose time is in the prefill's.
    """

    def __init__(self, client: OpenAiClient, *, late: bool) -> None:
        self._client = client
        self._late = late
        self._before = self._read()

    def since(self) -> PhaseSeconds | None:
        """Return the time of all steps since this was made; None where it is not counted."""
        before, after = self._before, self._read()
        if before is None or after is None:
            return None
        tokens = after[1] - before[1]
        decoded = after[0].decoded - before[0].decoded
        decode_s = after[0].decode_s - before[0].decode_s
        prefill_s = after[0].prefill_s - before[0].prefill_s
        if not tokens:
            return PhaseSeconds(prefill_s, 0.0)
        if not decoded:
            return None
        # the first decode step after a prefill is not counted as decode
        first_s = decode_s * (tokens / decoded - 1)
        if self._late:
            prefill_s = max(0.0, prefill_s - first_s)
        return PhaseSeconds(prefill_s, decode_s + first_s)

    def _read(self) -> tuple[Counted, float] | None:
        """Return the counters of an idle server, and all tokens that were decoded."""
        time.sleep(SETTLE_S)
        deadline = time.monotonic() + PATIENCE_S
        found = counted(self._client)
        while found is not None and found.requests and time.monotonic() < deadline:
            time.sleep(SETTLE_S)
            found = counted(self._client)
        samples = prometheus.parse(self._client.text("/metrics") or "")
        tokens = prometheus.total(
            [one for one in samples if one.labels.get("mode") == "decode"], DECODED
        )
        return None if found is None else (found, tokens or 0.0)


def counted(client: OpenAiClient) -> Counted | None:
    """Read the server's counters; None where it has none.  Raises UsageError for several ranks."""
    found = (client.json(LOADS) or {}).get("loads")
    if not isinstance(found, list) or not found or not isinstance(found[0], Mapping):
        return None
    if len(found) > 1:
        raise UsageError(
            f"the server has {len(found)} data-parallel ranks: calibrate one of them alone"
        )
    load = found[0]
    moments = load.get("decode_moments")
    if not isinstance(moments, list) or "total_prefill_busy_us" not in load:
        return None
    return Counted(
        requests=int(load["num_running_reqs"]) + int(load["num_waiting_reqs"]),
        prefill_tokens=int(load["total_prefill_uncached_tokens"]),
        prefill_s=load["total_prefill_busy_us"] / 1e6,
        decode_steps=moments[0],
        decoded=moments[1],
        decode_s=moments[2] / 1e6,
    )

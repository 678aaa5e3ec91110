"""A stat logger that vLLM loads as a plugin: one JSON line per engine step, for the replay to read.

It runs in vLLM's Python, in the process of the API server, and imports nothing of Phasewise:
`vllm_plugin` copies this file to a folder on vLLM's path. The engine's clock is in a step's `gap_s`
(time since the last token of a sequence that goes on) and in the times of the calls that it ends;
`at_s` is when the API server saw the step, which may be later.
"""

import json
import logging
import os
import time

from vllm.config import VllmConfig
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import FinishedRequestStats, IterationStats, SchedulerStats

VARIABLE = "PHASEWISE_VLLM_STEPS"
"""the file to append to"""
STEP_LINE = "Iteration(%d)"


class StepLog(StatLoggerBase):  # type: ignore[misc]  # vLLM is not there where types are checked
    """Writes what each step computed and how long it took; a failure ends it, never the server."""

    def __init__(self, vllm_config: VllmConfig, engine_index: int = 0) -> None:
        self._engine = engine_index
        # vLLM itself logs a line per step when it reports their details
        logging.getLogger("vllm.v1.metrics.loggers").addFilter(
            lambda record: STEP_LINE not in str(record.msg)
        )
        path = os.environ.get(VARIABLE)
        self._file = None if path is None else open(path, "a", encoding="utf-8")  # noqa: PTH123, SIM115

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        *_: object,
        **more: object,
    ) -> None:
        """Write one step."""
        if self._file is None or scheduler_stats is None:
            return
        try:
            line = step(scheduler_stats, iteration_stats)
            if line is not None:
                line["engine"] = more.get("engine_idx", self._engine)
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()
        except (AttributeError, OSError, TypeError, ValueError) as error:
            self._file = None
            logging.getLogger(__name__).warning("Phasewise's step log has ended: %r", error)

    def log_engine_initialized(self) -> None:
        """Do nothing: required by the base class."""


def step(scheduled: SchedulerStats, iteration: IterationStats | None) -> dict[str, object] | None:
    """Describe a step; None for what is none, as a step of an idle data-parallel rank."""
    details = scheduled.iteration_details
    if details is None or details.is_dummy:
        return None
    gaps = [] if iteration is None else iteration.inter_token_latencies_iter
    return {
        "at_s": time.monotonic(),
        "prefill_requests": details.num_ctx_requests,
        "prefill_tokens": details.num_ctx_tokens,
        "decode_requests": details.num_generation_requests,
        "decode_tokens": details.num_generation_tokens,
        "more_tokens": len(gaps),
        "gap_s": min(gaps, default=None),
        "first_tokens": 0 if iteration is None else len(iteration.time_to_first_tokens_iter),
        "preempted": 0 if iteration is None else iteration.num_preempted_reqs,
        "kv_used": scheduled.kv_cache_usage,
        "waiting": scheduled.num_waiting_reqs,
        "ended": [] if iteration is None else list(map(ended, iteration.finished_requests)),
    }


def ended(request: FinishedRequestStats) -> dict[str, object]:
    """Describe a call that ended in a step, with its times by the engine's clock."""
    return {
        "call_id": request.request_id,
        "prompt_tokens": request.num_prompt_tokens,
        "cached_tokens": request.num_cached_tokens,
        "output_tokens": request.num_generation_tokens,
        "queue_s": request.queued_time,
        "prefill_s": request.prefill_time,
        "decode_s": request.decode_time,
        "preemptions": request.num_preemptions,
    }

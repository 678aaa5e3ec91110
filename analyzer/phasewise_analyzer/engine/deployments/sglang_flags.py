"""SGLang's flags that its scheduler depends on, as the user gives them."""

from collections.abc import Mapping
from dataclasses import replace

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.engine_flags import Flags
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig

ALIASES: Mapping[str, str] = {
    "tp": "tp-size",
    "tensor-parallel-size": "tp-size",
    "dp": "dp-size",
    "data-parallel-size": "dp-size",
}


def scheduler_config(values: Flags, known: SglangConfig) -> SglangConfig:
    """Return the scheduler's flags, with defaults from what is known.

    Raises UsageError for a value that SGLang refuses.
    """
    return limits(values, replace(known, page_size=values.integer("page-size", known.page_size)))


def limits(values: Flags, known: SglangConfig) -> SglangConfig:
    """Return the flags that change no step times, with defaults from what is known.

    Raises UsageError for a value that SGLang refuses.
    """
    chunk = values.limit("chunked-prefill-size", known.chunked_prefill_size)
    if chunk is not None and chunk % known.page_size:
        raise UsageError(
            f"`chunked-prefill-size={chunk}` is not a multiple of `page-size={known.page_size}`"
        )
    return replace(
        known,
        chunked_prefill_size=chunk,
        max_prefill_tokens=values.integer("max-prefill-tokens", known.max_prefill_tokens),
        max_running_requests=values.integer("max-running-requests", known.max_running_requests),
        schedule_conservativeness=values.factor(
            "schedule-conservativeness", known.schedule_conservativeness
        ),
        disable_radix_cache=values.switch("disable-radix-cache", known.disable_radix_cache),
        disable_overlap_schedule=values.switch(
            "disable-overlap-schedule", known.disable_overlap_schedule
        ),
    )

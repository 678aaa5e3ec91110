"""Repairs outside the prompt: one model, one routing key, one set of settings."""

from collections.abc import Mapping, Sequence

from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.moved_spans import Places

SHARD_KEY = "prompt_cache_key"
KEPT = (
    *("thinking", "effort", "reasoning", "reasoning_effort", "output_config", "tool_choice"),
    *("disable_parallel_tool_use", "parallel_tool_calls", "service_tier", "speed"),
    *("response_format", "output_format", "betas", "context_management", "cache_salt"),
)
"""settings that providers put into a cache's key, as requests name them"""


def model(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Ask the model of an agent's first call in all its calls; prices change with it."""
    first: dict[str, tuple[str | None, str | None]] = {}
    laid = []
    for one in calls:
        if one.agent in places:
            call = one.call
            laid.append(one.sold_by(*first.setdefault(call.agent_id, (call.provider, call.model))))
        else:
            laid.append(one)
    return tuple(laid)


def shard_key(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Route all calls of an agent's role by one key."""
    return tuple(
        one.with_request({**one.call.request, SHARD_KEY: one.agent}) if one.agent in places else one
        for one in calls
    )


def settings(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Send the settings of an agent's first call in all its calls."""
    first: dict[str, Mapping[str, object]] = {}
    laid = []
    for one in calls:
        if one.agent not in places:
            laid.append(one)
            continue
        request = one.call.request
        kept = {name: request[name] for name in KEPT if name in request}
        kept = dict(first.setdefault(one.call.agent_id, kept))
        rest = {name: value for name, value in request.items() if name not in KEPT}
        laid.append(one if {**rest, **kept} == request else one.with_request({**rest, **kept}))
    return tuple(laid)

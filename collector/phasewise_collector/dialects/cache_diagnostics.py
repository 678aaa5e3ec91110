"""A provider's own diagnosis of a cache miss, if the caller requested it.

Anthropic responds with `diagnostics.cache_miss_reason` and a `type`, OpenAI since 5.6 with
`prompt_cache_diagnostics` and a `reason`; both with the number of missed tokens.
"""

from collections.abc import Mapping

from phasewise_collector.dialects.chat_values import parsed

_NAMES = ("cache_miss_reason", "prompt_cache_diagnostics")


def diagnosis(answer: object) -> dict[str, object] | None:
    """Return the reason, as the provider names it, and the missed tokens; None if there is none."""
    if isinstance(answer, str):
        if not any(name in answer for name in _NAMES):
            return None
        answer = parsed(answer)
    if not isinstance(answer, Mapping):
        return None
    anthropic = answer.get("diagnostics")
    if isinstance(anthropic, Mapping):
        said, name = anthropic.get("cache_miss_reason"), "cache_missed_input_tokens"
    else:
        said, name = answer.get("prompt_cache_diagnostics"), "cache_missed_tokens"
    if not isinstance(said, Mapping):
        return None
    reason = said.get("reason") or said.get("type")
    if not isinstance(reason, str):
        return None
    missed = said.get(name)
    return {"reason": reason} | ({"missed_tokens": missed} if isinstance(missed, int) else {})

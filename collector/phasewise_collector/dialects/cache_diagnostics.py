"""What a provider itself says of a cache miss, where the caller has asked it to.

Anthropic answers `diagnostics.cache_miss_reason` with a `type`, OpenAI from 5.6 on
`prompt_cache_diagnostics` with a `reason`; both with the tokens that were missed.
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

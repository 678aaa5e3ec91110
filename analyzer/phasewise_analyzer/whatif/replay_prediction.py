"""Predict the cached tokens of a replay of these calls on vLLM, so that a replay can verify it.

The engine room's own cache serves the calls one after another from a cold start, in the token ids
that a simulated replay sends: prediction and replay are the same by construction. A session ends
before its first call that does not fit. The model generates other text than was recorded, so
outputs take their space and are never read again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phasewise_analyzer.engine.caches.paged_cache import PagedPrefixCache
from phasewise_analyzer.engine.caches.prompt_ids import PromptIds, unheard_ids
from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Proof:
    """What a replay is to find."""

    calls: int
    prompt_tokens: int
    cached_tokens: int

    @property
    def cached(self) -> float | None:
        """Return the share of the prompts that is served from the cache, in [0, 1]."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None


def predict(laid: Sequence[Laid], engine: Scenario) -> Proof:
    """Predict a replay on one vLLM with the scenario's KV cache."""
    assert engine.policy is not None, "an engine's scenario has its policy"
    size, capacity = engine.policy.granularity_tokens, engine.policy.capacity_tokens
    blocks = None if capacity is None else capacity // size
    cache, ids = PagedPrefixCache(blocks, size), PromptIds()
    calls = read = cached = 0
    for one in _in_turn(laid, None if blocks is None else blocks * size):
        prompt = ids.ids(one.prompt)
        calls += 1
        read += len(prompt)
        cached += cache.lookup(prompt)
        cache.admit(prompt, unheard_ids(one.call.call_id, _output_tokens(one)))
    return Proof(calls, read, cached)


def _in_turn(laid: Sequence[Laid], capacity_tokens: int | None) -> Iterator[Laid]:
    """Return the calls in the order of a replay."""
    sessions: dict[str, list[Laid]] = {}
    for one in laid:
        sessions.setdefault(one.call.session_id, []).append(one)
    for calls in sessions.values():
        for one in sorted(calls, key=lambda each: each.call.step):
            tokens = sum(segment.tokens for segment in one.prompt) + _output_tokens(one)
            if capacity_tokens is not None and tokens > capacity_tokens:
                break
            yield one


def _output_tokens(one: Laid) -> int:
    """Return the length that a replay forces."""
    return max(1, one.call.usage.output_tokens)

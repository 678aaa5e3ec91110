"""Predict the cached tokens of a replay of these calls on vLLM, so that a replay can verify it.

A replay sends one session after another from a cold cache, in estimated tokens, and a session ends
before its first call that does not fit. The model generates other text than was recorded, so
outputs are never read again. The space that they occupy is ignored here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from phasewise_store.facts import Usage
from phasewise_store.store import Store

from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.whatif import layout
from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.repricing import Books, outcomes
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


def predict(laid: Sequence[Laid], engine: Scenario, books: Books) -> Proof:
    """Predict a replay on one engine."""
    capacity = None if engine.policy is None else engine.policy.capacity_tokens
    calls = list(_in_turn(laid, capacity))
    with Store.in_memory() as scratch:
        layout.write(scratch, calls)
        (found,) = outcomes(Requests(scratch), [_forgetful(engine)], books)
    return Proof(found.calls, found.spent.input, found.spent.read)


def _forgetful(engine: Scenario) -> Scenario:
    policy = engine.policy
    return (
        engine if policy is None else replace(engine, policy=replace(policy, keeps_answers=False))
    )


def _in_turn(laid: Sequence[Laid], capacity_tokens: int | None) -> Iterator[Laid]:
    """Return the calls in the order of a replay, without times and without what was reported."""
    sessions: dict[str, list[Laid]] = {}
    for one in laid:
        sessions.setdefault(one.call.session_id, []).append(one)
    for calls in sessions.values():
        for one in sorted(calls, key=lambda each: each.call.step):
            tokens = sum(segment.tokens for segment in one.prompt)
            output = max(1, one.call.usage.output_tokens)
            if capacity_tokens is not None and tokens + output > capacity_tokens:
                break
            bare = replace(
                one.call,
                usage=Usage(output_tokens=output, origin="absent", cache_reported=False),
                started_ns=None,
                duration_ns=None,
                ttft_ns=None,
            )
            yield replace(one, call=bare)

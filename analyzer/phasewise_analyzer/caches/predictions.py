"""Say for each recorded call what its provider's rule of that day lets it read from the cache."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.cache_states import Predicted
from phasewise_analyzer.caches import families
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import PromptCache, Served
from phasewise_analyzer.caches.requests import Requests

Step = Callable[[int, int], None]
"""how many of how many calls are done"""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One call with a known prompt, and the rule it met."""

    row: int
    """place among the calls in scope, in order of arrival"""
    sent_before: int
    """tokens of the prompt that an earlier call of the model had sent, or that the model itself had
    written where its engine keeps that"""
    policy: Policy | None
    """None where the book has no record of that day"""
    served: Served | None
    """what the rule says was read and written; None without a record"""

    def billed(self) -> Predicted | None:
        """Give the tokens as a bill counts them; None without a record."""
        if self.policy is None or self.served is None:
            return None
        long = sum(
            tokens
            for lifetime, tokens in self.served.written.items()
            if self.policy.is_long(lifetime)
        )
        written = sum(self.served.written.values())
        return Predicted(self.policy.id, self.served.read, written - long, long)


def predict(requests: Requests, book: Book, *, step: Step | None = None) -> tuple[Prediction, ...]:
    """Judge all calls in scope with a known prompt, in order of start."""
    calls = requests.calls
    names = calls.select("source", "provider", "model").rows()
    before = requests.tokens.at(np.arange(len(names)), requests.earlier)
    sent = np.minimum(before, requests.tokens.whole).tolist()
    starts = calls["started_ns"].to_list()
    caches: dict[str, PromptCache] = {}
    found = []
    for place, recorded in enumerate(requests):
        row = recorded.row
        _, provider, model = names[row]
        policy = book.policy(provider, model, starts[row])
        served = None
        if policy is not None:
            if policy.id not in caches:
                caches[policy.id] = families.make(policy)
            served = caches[policy.id].serve(recorded.under(policy))
        known = sent[row] if served is None else max(sent[row], served.read)
        found.append(Prediction(row, known, policy, served))
        if step is not None and place % 100 == 0:
            step(place, len(names))
    return tuple(found)


Call = Mapping[str, object]
"""a row of `reads.llm_calls`"""


def missed(call: Call, judged: Prediction) -> tuple[int, int]:
    """Split what had been sent before and was not read: tokens by the rule, and beyond it.

    Without a record all is beyond.
    """
    read, whole = call["cache_read_tokens"], call["input_tokens"]
    assert isinstance(read, int)
    assert isinstance(whole, int)
    sent_before = min(whole, judged.sent_before)
    lost = max(0, sent_before - read)
    if judged.served is None:
        return 0, lost
    by_rule = min(lost, max(0, sent_before - judged.served.read))
    return by_rule, lost - by_rule

"""Prompts counted with the model's own tokenizer, judged by whole prompts counted with it."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.prefixes import own_tokenizer
from phasewise_store import reads, tokenizers
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment, Usage
from phasewise_store.scope import Scope
from phasewise_store.segments import text_segment
from phasewise_store.store import Store
from phasewise_store.tokenizers import Definition
from phasewise_store.tokens import estimate, front

from tests.analyzer.facts_for_tests import write_calls
from tests.tokenizers_for_tests import trained

TEMPLATE = 4
"""tokens that the made-up chat template adds to each message"""
GENERATION = 3
"""and behind the last one"""
CHANCE = random.Random(4)
WORDS = [
    "a",
    "is",
    "internationalization",
    "{{}}[[]];",
    "0123456789",
    "https://x.y/z?q=1",
    "straße",
]
GUIDE = " ".join(CHANCE.choices(WORDS[2:], k=300)) + " ".join(CHANCE.choices(WORDS[:3], k=300))
"""texts of several kinds, so that no estimate is right everywhere"""


class Words(own_tokenizer.Tokenizer):
    """Counts words, and how many texts it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def count(self, texts: Mapping[bytes, str]) -> dict[bytes, int]:
        """Split at spaces."""
        self.asked += len(texts)
        return {key: len(text.split()) for key, text in texts.items()}


def prompts(store: Store, tokenizer: own_tokenizer.Tokenizer, model: str = "m") -> list[str]:
    """Write sessions whose system prompts part in the middle; give what each shares with others."""
    made: list[tuple[Segment, ...]] = []
    for session in range(6):
        system = f"{GUIDE}It is day {session}. {GUIDE}"
        texts = [system]
        for step in range(4):
            asked = " ".join(CHANCE.choices(WORDS[: 2 + step], k=40))
            texts = [*texts, f"question {step} of {session}: {asked}"]
            made.append(tuple(text_segment("message", text, "user") for text in texts))
    usages = [Usage(uncached_tokens=whole(tokenizer, prompt), output_tokens=5) for prompt in made]
    write_calls(store, made, usages=usages, models=[model] * len(made), provider="self")
    return [f"{GUIDE}It is day " for _ in made]


def whole(tokenizer: own_tokenizer.Tokenizer, prompt: Sequence[Segment]) -> int:
    """Give what a server reports for a prompt."""
    texts = {bytes([place]): (one.content or b"").decode() for place, one in enumerate(prompt)}
    return sum(tokenizer.count(texts).values()) + TEMPLATE * len(prompt) + GENERATION


def inner(requests: Requests) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give low, tokens and high of the places where system prompts part."""
    tree = requests.tree
    children = np.bincount(tree.parent[tree.parent >= 0], minlength=len(tree.parent))
    nodes = np.flatnonzero((children > 1) & (tree.parent < 0)).astype(np.int32)
    rows = np.zeros(len(nodes), dtype=np.intp)
    low, high = requests.tokens.bounds(rows, nodes)
    return low, requests.tokens.at(rows, nodes), high


def test_the_place_where_prompts_part_is_counted(store: Store) -> None:
    """Inside a segment, too: exact to the template's few tokens, in a much smaller interval."""
    tokenizer = Words()
    (front_text, *_) = prompts(store, tokenizer)
    true = len(front_text.split()) + TEMPLATE
    low, found, high = inner(Requests(store, tokenizers={"m": tokenizer}))
    assert low.tolist() <= [true] <= high.tolist()
    assert abs(int(found[0]) - true) <= TEMPLATE + GENERATION
    wide_low, _, wide_high = inner(Requests(store))
    assert int(high[0] - low[0]) * 3 < int(wide_high[0] - wide_low[0])


def test_the_template_is_fitted_and_the_rest_is_one_for_one(store: Store) -> None:
    """A counted token is a reported one; what is added to each message is not taken for text."""
    tokenizer = Words()
    prompts(store, tokenizer)
    counted = Requests(store, tokenizers={"m": tokenizer}).tokens
    assert counted.rate == pytest.approx(1.0, abs=1e-9)
    assert counted.interval < 0.25 * Requests(store).tokens.interval


def test_other_models_are_estimated_as_before(store: Store) -> None:
    """A tokenizer is one model's own; it is not asked for texts that only others read."""
    tokenizer = Words()
    prompts(store, tokenizer, "other")
    asked = tokenizer.asked
    with_it = Requests(store, tokenizers={"m": tokenizer})
    assert tokenizer.asked == asked
    assert inner(with_it)[1].tolist() == inner(Requests(store))[1].tolist()


def test_a_kept_tokenizer_counts_without_being_named(store: Store) -> None:
    """A real `tokenizer.json` in the store: everything that reads prompts counts with it."""
    content = trained(GUIDE)
    prompts(store, own_tokenizer.load(content))
    estimated = Requests(store).tokens
    tokenizers.save(store, Definition("m", "made", content))
    counted = Requests(store, Scope(model="m")).tokens
    assert counted.rate == pytest.approx(1.0, abs=1e-9)
    assert counted.interval < 0.25 * estimated.interval
    assert tokenizers.forget(store, "m")
    assert not tokenizers.forget(store, "m")
    assert Requests(store).tokens.interval == estimated.interval


def test_hashed_text_keeps_its_estimate(store: Store) -> None:
    """Of segments without text nothing can be counted: they are scaled like the others."""
    tokenizer = Words()
    secret = Segment("message", b"\1" * 16, 100, "user")
    plain = text_segment("message", GUIDE, "user")
    write_calls(store, [(plain, secret), (plain, secret, plain)], models=["m"] * 2)
    requests = Requests(store, tokenizers={"m": tokenizer})
    assert len(reads.llm_calls(store)) == 2
    assert (requests.tokens.whole > 0).all()


def test_a_file_that_is_no_tokenizer_is_refused_and_an_unusable_one_only_said(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Analysis goes on with estimates, and says which model it is about."""
    with pytest.raises(UsageError, match="not a tokenizer"):
        own_tokenizer.load(b"{}")
    tokenizers.save(store, Definition("m", "broken", b"{}"))
    assert own_tokenizer.of(store) == {}
    assert "tokens of m are estimated" in caplog.text


def test_the_front_of_a_text_is_as_many_estimated_tokens() -> None:
    """Whole pieces, never more than asked for; all of them give the text back."""
    for tokens in range(estimate(GUIDE) + 3):
        taken = front(GUIDE, tokens)
        assert GUIDE.startswith(taken)
        assert estimate(taken) <= tokens
    assert front(GUIDE, estimate(GUIDE)) == GUIDE

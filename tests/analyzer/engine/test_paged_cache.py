"""The cache model against a plain re-telling of vLLM's own block manager."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.caches.paged_cache import PagedPrefixCache

Ids = list[int]


class Blocks:
    """vLLM's block pool told again, slowly: a list as the free queue, whole prefixes as hashes."""

    def __init__(self, count: int, size: int) -> None:
        self.size = size
        self.free = list(range(count))
        self.holds: dict[int, tuple[int, ...]] = {}
        self.cached: dict[tuple[int, ...], OrderedDict[int, None]] = {}

    def hits(self, prompt: Ids) -> list[int]:
        """Walk block by block; the last token is always computed."""
        found = []
        for end in range(self.size, len(prompt), self.size):
            holders = self.cached.get(tuple(prompt[:end]))
            if not holders:
                break
            found.append(next(iter(holders)))
        return found

    def serve(self, prompt: Ids, output: Ids) -> int:
        """Allocate step by step as the scheduler does; give the tokens that were hits."""
        held = self.hits(prompt)
        cached = len(held) * self.size
        self.free = [block for block in self.free if block not in held]
        tokens = prompt + output
        computed = cached
        while computed < len(tokens) - 1:  # the last token is sampled and never computed
            step = len(prompt) - computed if computed < len(prompt) else 1
            computed += step
            while len(held) * self.size < computed:
                held.append(self.take())
            for place in range(computed // self.size):
                key = tuple(tokens[: (place + 1) * self.size])
                if held[place] not in self.holds:
                    self.holds[held[place]] = key
                    self.cached.setdefault(key, OrderedDict())[held[place]] = None
        for block in reversed(held):
            if block in self.holds:
                self.free.append(block)
        self.free = [block for block in held if block not in self.holds] + self.free
        return cached

    def take(self) -> int:
        """Pop the front of the queue and evict what it held."""
        block = self.free.pop(0)
        if (key := self.holds.pop(block, None)) is not None:
            del self.cached[key][block]
        return block


requests = st.lists(
    st.tuples(
        st.lists(st.integers(0, 1), min_size=1, max_size=14),
        st.lists(st.integers(0, 1), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=30,
)


@given(requests, st.integers(2, 4), st.integers(9, 30))
@settings(max_examples=400, deadline=None)
def test_hits_and_evictions_are_those_of_the_block_pool(
    sent: list[tuple[Ids, Ids]], size: int, count: int
) -> None:
    """Any order of prompts over two tokens, at any block size and capacity that holds one."""
    model, oracle = PagedPrefixCache(count, size), Blocks(count, size)
    for prompt, output in sent:
        ids = np.array(prompt, dtype=np.int64)
        predicted = model.lookup(ids)
        model.admit(ids, np.array(output, dtype=np.int64))
        assert predicted == oracle.serve(prompt, output)


@given(requests)
@settings(max_examples=50, deadline=None)
def test_without_a_bound_nothing_is_forgotten(sent: list[tuple[Ids, Ids]]) -> None:
    """Sending everything twice hits all full blocks but the last token's."""
    model = PagedPrefixCache(None, 2)
    for prompt, output in sent:
        model.admit(np.array(prompt, dtype=np.int64), np.array(output, dtype=np.int64))
    for prompt, _ in sent:
        assert model.lookup(np.array(prompt, dtype=np.int64)) == (len(prompt) - 1) // 2 * 2


@pytest.mark.parametrize(("tokens", "hit"), [(16, 0), (17, 16), (32, 16), (33, 32)])
def test_the_last_token_is_always_computed(tokens: int, hit: int) -> None:
    """A prompt that differs at token 17 shares exactly one 16-token block; a full one none less."""
    model = PagedPrefixCache(100, 16)
    prompt = np.arange(40)
    model.admit(prompt, np.array([7]))
    assert model.lookup(prompt[:tokens]) == hit

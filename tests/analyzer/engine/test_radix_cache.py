"""The tree cache model: its rules one by one, and against SGLang's own tree in its own Python."""

import json
import os
import random
import subprocess
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.caches.radix_cache import RadixPrefixCache
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from tests.real_server import SGLANG, installed

ORACLE = Path(__file__).with_name("sglang_oracle.py")
CASES_EACH = 10
"""of every tree, page size and schedule"""
REQUESTS = 60
"""a case"""

Sent = tuple[list[int], list[int], str | None]
"""prompt, output, namespace"""


def ids(tokens: Sequence[int]) -> TokenIds:
    """Make token ids."""
    return np.array(tokens, dtype=np.int64)


def shared(one: list[int], other: list[int]) -> int:
    """Count the tokens two lists begin with alike, one by one."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def served(cache: RadixPrefixCache, requests: Sequence[Sent]) -> list[list[int]]:
    """Give what each request found cached, and what was evicted up to its end."""
    found = []
    for prompt, output, namespace in requests:
        hit = cache.lookup(ids(prompt), namespace=namespace or "")
        cache.admit(ids(prompt), ids(output), namespace=namespace or "")
        found.append([hit, cache.evicted_tokens])
    return found


def conversation(rng: random.Random, most_tokens: int) -> list[Sent]:
    """Make prompts over four tokens that grow, branch and come again."""
    told: list[list[int]] = []
    requests: list[Sent] = []
    for _ in range(REQUESTS):
        begun = list(rng.choice(told)) if told and rng.random() < 0.7 else []
        if begun and rng.random() < 0.3:
            begun = begun[: rng.randrange(1, len(begun) + 1)]
        added = rng.choice((0, 1, 1, 2, 5, 9, 16, 20, 40)) or (not begun)
        prompt = (begun + [rng.randrange(4) for _ in range(added)])[:most_tokens]
        output = [rng.randrange(4) for _ in range(rng.choice((1, 1, 2, 3, 4, 18)))]
        told.append(prompt + output if rng.random() < 0.7 else prompt)
        requests.append((prompt, output, rng.choice((None, None, None, "other"))))
    return requests


def cases() -> list[dict[str, object]]:
    """Make caches of several sizes, most so small that they evict at nearly every request."""
    rng = random.Random(0)
    made: list[dict[str, object]] = []
    for tree in ("simulated", "unified"):
        for page in (1, 2, 16):
            for overlapped in (True, False):
                for _ in range(CASES_EACH):
                    capacity = rng.randrange(60, 200) + 6 * page
                    made.append(
                        {
                            "tree": tree,
                            "page": page,
                            "capacity": capacity,
                            "chunk": rng.choice((None, page, 2 * page, 20 * page)),
                            "overlapped": overlapped,
                            "requests": conversation(rng, capacity - 3 * page - 20),
                        }
                    )
    return made


@pytest.mark.engine
def test_hits_and_evictions_are_those_of_sglang_s_own_trees() -> None:
    """Both its trees, three page sizes, with and without overlap: the same at every request."""
    installed(SGLANG)
    asked = cases()
    oracle = subprocess.run(
        [str(SGLANG), "-W", "ignore", str(ORACLE)],
        input=json.dumps(asked),
        env=os.environ | {"SGLANG_USE_CPU_ENGINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert oracle.returncode == 0, oracle.stderr[-2000:]
    answers = json.loads(oracle.stdout)
    for case, answer in zip(asked, answers, strict=True):
        page, capacity, chunk = case["page"], case["capacity"], case["chunk"]
        requests = case["requests"]
        assert isinstance(page, int)
        assert isinstance(capacity, int)
        assert isinstance(chunk, int | None)
        assert isinstance(requests, list)
        overlapped = bool(case["overlapped"])
        cache = RadixPrefixCache(capacity, page, chunk_tokens=chunk, overlapped=overlapped)
        told = {name: value for name, value in case.items() if name != "requests"}
        assert served(cache, requests) == answer, told
    assert sum(answer[-1][1] > 0 for answer in answers) > len(answers) / 2, "hardly any evicted"
    assert all(any(hit for hit, _ in answer) for answer in answers)


requests_of_two_tokens = st.lists(
    st.tuples(
        st.lists(st.integers(0, 1), min_size=1, max_size=14),
        st.lists(st.integers(0, 1), min_size=1, max_size=4),
        st.none(),
    ),
    min_size=1,
    max_size=30,
)


@given(requests_of_two_tokens, st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_without_a_bound_the_longest_start_that_was_ever_served_is_found(
    sent: list[Sent], page: int
) -> None:
    """In whole pages, at least one token left over, the last output token never cached."""
    cache = RadixPrefixCache(None, page)
    kept: list[list[int]] = []
    for prompt, output, _ in sent:
        longest = max((shared(prompt[:-1], before) // page * page for before in kept), default=0)
        assert cache.lookup(ids(prompt)) == longest
        cache.admit(ids(prompt), ids(output))
        whole = (len(prompt) + len(output) - 1) // page * page
        kept.append((prompt + output)[:whole])
    starts = {tuple(one[: end + page]) for one in kept for end in range(0, len(one), page)}
    assert cache.kept_tokens == len(starts) * page


@given(requests_of_two_tokens, st.integers(1, 4), st.integers(24, 40))
@settings(max_examples=200, deadline=None)
def test_a_cache_never_holds_more_than_its_capacity(
    sent: list[Sent], page: int, capacity: int
) -> None:
    """Whatever is served, and what a lookup finds does not depend on having looked before."""
    cache, twice = RadixPrefixCache(capacity, page), RadixPrefixCache(capacity, page)
    for prompt, output, _ in sent:
        first = twice.lookup(ids(prompt))
        assert twice.lookup(ids(prompt)) == first == cache.lookup(ids(prompt))
        cache.admit(ids(prompt), ids(output))
        twice.admit(ids(prompt), ids(output))
        assert cache.kept_tokens <= capacity


@pytest.mark.parametrize(("page", "hit"), [(1, 39), (8, 32), (16, 32), (40, 0)])
def test_the_last_token_is_always_computed(page: int, hit: int) -> None:
    """The same prompt of 40 tokens again finds all of its pages but the last token's."""
    cache = RadixPrefixCache(200, page)
    cache.admit(np.arange(40), ids([7]))
    assert cache.lookup(np.arange(40)) == hit


def test_what_was_written_is_cached_but_its_last_token() -> None:
    """The last token was sampled and never read, so its key and value are not there."""
    cache = RadixPrefixCache(None)
    cache.admit(np.arange(10), ids([70, 71, 72]))
    assert cache.lookup(ids([*range(10), 70, 71, 72, 73])) == 12


def test_namespaces_share_nothing() -> None:
    """The same prompt under another salt is new, and evicts what was there before."""
    cache = RadixPrefixCache(50)
    cache.admit(np.arange(30), ids([1]), namespace="one")
    assert cache.lookup(np.arange(30), namespace="two") == 0
    cache.admit(np.arange(30), ids([1]), namespace="two")
    assert cache.lookup(np.arange(30), namespace="one") == 0
    assert cache.lookup(np.arange(30), namespace="two") == 29


def test_the_leaf_touched_longest_ago_goes_first_and_whole() -> None:
    """Ten tokens short, SGLang drops the twenty of the oldest branch, not the stem."""
    stem = np.arange(20)
    old, new = (np.concatenate((stem, np.arange(at, at + 20))) for at in (100, 200))
    cache = RadixPrefixCache(90)
    for prompt in (old, new):
        cache.admit(prompt, ids([1]))
    cache.admit(np.arange(300, 340), ids([1]))
    assert cache.evicted_tokens == 20
    assert (cache.lookup(old), cache.lookup(new)) == (20, 39)


def test_a_request_s_own_path_is_not_evicted_under_it() -> None:
    """A prompt that needs the whole cache keeps what it found, however old that is."""
    cache = RadixPrefixCache(50)
    cache.admit(np.arange(20), ids([1]))
    cache.admit(np.arange(100, 125), ids([1]))
    cache.admit(np.arange(45), ids([1]))
    assert cache.evicted_tokens == 25
    assert cache.lookup(np.arange(60)) == 45


def test_an_output_can_be_evicted_without_its_prompt() -> None:
    """A node ends where the prompt ends: one token short, only the output goes."""
    cache = RadixPrefixCache(41)
    cache.admit(np.arange(20), np.arange(500, 511))
    cache.admit(np.arange(100, 112), ids([1]))
    assert cache.evicted_tokens == 10
    assert cache.lookup(np.concatenate((np.arange(20), np.arange(500, 511)))) == 20

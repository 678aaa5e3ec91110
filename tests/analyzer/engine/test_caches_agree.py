"""What-if, prediction and simulation say the same of a vLLM's cache, as far as they can.

Prediction and simulation always agree, one call at a time. The what-if counts whole blocks of
prompts only: an output, and the block that a prompt fills in part, take no room there. Where there
are none, or there is room for everything, all three agree.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.caches import book, families
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.engine.caches.block_digests import block_digests
from phasewise_analyzer.engine.caches.paged_cache import PagedPrefixCache
from phasewise_analyzer.engine.caches.prompt_ids import unheard_ids
from phasewise_analyzer.engine.caches.radix_cache import RadixPrefixCache
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig

from tests.analyzer.caches.prompts_for_tests import Part, Prompts
from tests.analyzer.engine.made_up_times import MadeUpTimes

VLLM, SGLANG = (book.read().named(name) for name in ("vllm/blocks", "sglang/radix"))
APART_S = 1e4
"""one call at a time"""

prompts = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=30), min_size=1, max_size=12)


def whatif(
    sent: Sequence[Sequence[int]], policy: Policy, size: int, blocks: int | None
) -> list[int]:
    """Return what the policy's family reads of each prompt; a segment is a token."""
    policy = replace(
        policy,
        granularity_tokens=size,
        capacity_tokens=None if blocks is None else blocks * size,
    )
    known, cache = Prompts(), families.make(policy)
    return [
        cache.serve(known.asked([Part(str(token), 1) for token in prompt], at * APART_S)).read
        for at, prompt in enumerate(sent)
    ]


def predicted(
    sent: Sequence[Sequence[int]], outputs: Sequence[int], size: int, blocks: int | None
) -> list[int]:
    """Return what the prediction of a replay says."""
    cache, found = PagedPrefixCache(blocks, size), []
    for at, (prompt, output) in enumerate(zip(sent, outputs, strict=True)):
        ids = np.array(prompt, np.int64)
        found.append(cache.lookup(ids))
        cache.admit(ids, unheard_ids(str(at), output))
    return found


def simulated(
    sent: Sequence[Sequence[int]], outputs: Sequence[int], size: int, blocks: int | None
) -> list[int]:
    """Return what the simulated engine finds."""
    calls = [
        Request(at * APART_S, len(prompt), output, tuple(block_digests(np.array(prompt), size)))
        for at, (prompt, output) in enumerate(zip(sent, outputs, strict=True))
    ]
    config = SchedulerConfig(block_size=size)
    return [
        one.cached_tokens for one in simulate(calls, MadeUpTimes(), config, blocks=blocks).served
    ]


@settings(max_examples=150, deadline=None)
@given(prompts, st.lists(st.integers(1, 9), min_size=12, max_size=12), st.sampled_from([1, 2, 4]))
def test_prediction_and_simulation_agree_however_small_the_cache(
    sent: list[list[int]], outputs: list[int], size: int
) -> None:
    """Outputs and partial blocks take their room in both; so does a block that is there twice."""
    outputs = outputs[: len(sent)]
    for blocks in (40, 60, None):
        assert predicted(sent, outputs, size, blocks) == simulated(sent, outputs, size, blocks)


@settings(max_examples=150, deadline=None)
@given(prompts, st.sampled_from([2, 4]), st.integers(30, 45))
def test_the_whatif_agrees_where_a_call_takes_whole_blocks_and_one(
    sent: list[list[int]], size: int, blocks: int
) -> None:
    """With one token behind whole blocks and one of output, a call takes one block more.

    In blocks of one token that token would be a whole block, which the what-if counts.
    """
    sent = [[*prompt[: max(0, len(prompt) - 1) // size * size], 2] for prompt in sent]
    ones = [1] * len(sent)
    expected = whatif(sent, VLLM, size, blocks)
    assert predicted(sent, ones, size, blocks + 1) == expected
    assert simulated(sent, ones, size, blocks + 1) == expected


@settings(max_examples=100, deadline=None)
@given(prompts, st.sampled_from([1, 2, 4]))
def test_all_agree_with_room_for_everything(sent: list[list[int]], size: int) -> None:
    """At any length; SGLang's tree of tokens, too."""
    ones = [1] * len(sent)
    expected = whatif(sent, VLLM, size, None)
    assert predicted(sent, ones, size, None) == expected
    assert simulated(sent, ones, size, None) == expected
    tree, found = RadixPrefixCache(None, size), []
    for prompt in sent:
        ids = np.array(prompt, np.int64)
        found.append(tree.lookup(ids))
        tree.admit(ids, unheard_ids("out", 1))
    assert found == whatif(sent, SGLANG, size, None)

"""Drafts and acceptance computed from tokens: by hand, and against slow drafters."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.schedulers.drafts import Acceptance, total
from phasewise_analyzer.engine.speculation.config import NgramConfig, SuffixConfig, parse, written
from phasewise_analyzer.engine.speculation.ngram import ngram_drafts
from phasewise_analyzer.engine.speculation.suffix import SuffixDecoder
from phasewise_store.errors import UsageError

from tests.analyzer.engine.slow_drafters import SlowSuffixDecoder, ngram_draft


def ids(values: list[int]) -> TokenIds:
    """Make an array of token ids."""
    return np.array(values, dtype=np.int64)


few_tokens = st.lists(st.integers(0, 3), max_size=40)
answers = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(few_tokens, answers, st.integers(1, 4), st.integers(0, 3), st.integers(1, 6))
def test_ngram_drafts_are_those_of_a_slow_search(
    prompt: list[int], output: list[int], shortest: int, more: int, tokens: int
) -> None:
    """At every place the longest suffix and its first copy decide, as in vLLM's proposer."""
    config = NgramConfig(tokens, shortest, shortest + more)
    found = ngram_drafts(ids(prompt), ids(output), config)
    assert (found.drafted[0], found.accepted[0]) == (0, 0)
    for known in range(1, len(output)):
        draft = ngram_draft(prompt + output[:known], config)
        rest = output[known:]
        same = [one == other for one, other in zip(draft, rest, strict=False)]
        accepted = (*same, False).index(False)
        assert (found.drafted[known], found.accepted[known]) == (len(draft), accepted)


def test_the_first_copy_is_drafted_and_may_overlap() -> None:
    """After 7 8 7 8 7, the pair 8 7 was first followed by 8 7; three tokens are not known yet."""
    found = ngram_drafts(ids([7, 8, 7, 8]), ids([7, 8, 7, 9]), NgramConfig(3, 2, 2))
    assert (found.drafted.tolist(), found.accepted.tolist()) == ([0, 2, 3, 3], [0, 2, 1, 0])
    steps = found.steps()
    assert (steps.drafted.tolist(), steps.accepted.tolist()) == ([2], [2])


@given(
    st.builds(
        lambda tokens, shortest, more: NgramConfig(tokens, shortest, shortest + more),
        st.integers(1, 9),
        st.integers(1, 9),
        st.integers(0, 9),
    )
    | st.builds(
        SuffixConfig,
        st.integers(1, 9),
        st.integers(1, 30),
        st.integers(0, 100),
        st.floats(0, 4),
        st.floats(0, 1),
    )
)
def test_a_config_that_is_written_is_read_back(config: NgramConfig | SuffixConfig) -> None:
    """As a calibration keeps it."""
    assert parse(written(config)) == config


suffix_configs = st.builds(
    lambda depth, tokens, requests, factor, probability: SuffixConfig(
        tokens, depth, requests, factor, probability
    ),
    st.integers(1, 8),
    st.integers(1, 8),
    st.sampled_from([0, 10]),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 0.1, 0.4]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(few_tokens, answers), min_size=1, max_size=4), suffix_configs)
def test_suffix_drafts_are_those_of_explicit_trees(
    calls: list[tuple[list[int], list[int]]], config: SuffixConfig
) -> None:
    """Places in lists give the drafts of trees with a node per string, call after call."""
    fast, slow = SuffixDecoder(config), SlowSuffixDecoder(config)
    for prompt, output in calls:
        found = fast.drafts(ids(prompt), ids(output))
        steps = slow.serve(prompt, output)
        at = [place for place, _, _ in steps]
        assert found.drafted[at].tolist() == [drafted for _, drafted, _ in steps]
        assert found.accepted[at].tolist() == [accepted for _, _, accepted in steps]
        assert found.steps().drafted.tolist() == found.drafted[at].tolist()


def test_suffix_drafts_are_those_of_arctic_inference() -> None:
    """Recorded from its own trees: drafted and accepted tokens of every step, call after call."""
    recorded = json.loads((Path(__file__).parent / "arctic_drafts.json").read_text("utf-8"))
    for case in recorded["cases"]:
        decoder = SuffixDecoder(SuffixConfig(**case["config"]))
        for call in case["calls"]:
            steps = decoder.drafts(ids(call["prompt"]), ids(call["output"])).steps()
            found = np.stack((steps.drafted, steps.accepted), axis=1).tolist()
            assert found == call["steps"]


@settings(max_examples=50, deadline=None)
@given(st.lists(answers, min_size=2, max_size=5), st.integers(1, 2))
def test_an_evicted_output_drafts_nothing(outputs: list[list[int]], requests: int) -> None:
    """With room for n outputs, drafts are those after the last n - 1 outputs alone."""
    config = SuffixConfig(6, 6, requests)
    whole = SuffixDecoder(config)
    for output in outputs:
        last = whole.drafts(ids([]), ids(output))
    fresh = SuffixDecoder(SuffixConfig(6, 6, 10))
    for output in outputs[max(0, len(outputs) - requests) :]:
        again = fresh.drafts(ids([]), ids(output))
    assert last.drafted.tolist() == again.drafted.tolist()


@given(few_tokens, answers, st.integers(1, 6))
def test_steps_generate_the_output(prompt: list[int], output: list[int], tokens: int) -> None:
    """One token from the prompt, one per step and the accepted ones are the output, or more.

    Only the last step's own token may lie beyond the end.
    """
    for found in (
        ngram_drafts(ids(prompt), ids(output), NgramConfig(tokens, 1, 3)),
        SuffixDecoder(SuffixConfig(tokens)).drafts(ids(prompt), ids(output)),
    ):
        said = found.steps().acceptance()
        generated = 1 + said.steps + said.accepted
        assert len(output) <= generated <= len(output) + 1
        assert 0 <= said.accepted <= said.drafted <= tokens * said.steps


def test_acceptance_sums_and_divides() -> None:
    """Rate, mean length per draft and tokens per step have three denominators."""
    said = total([Acceptance(1, 10, 4, 12, 6), Acceptance(1, 6, 0, 0, 0)])
    assert said == Acceptance(2, 16, 4, 12, 6)
    assert (said.rate, said.length, said.tokens_per_step) == (0.5, 2.5, 1.375)
    assert (Acceptance().rate, Acceptance().length, Acceptance().tokens_per_step) == (None,) * 3


def test_a_config_is_read_with_vllm_s_defaults() -> None:
    """One bound of the lookup gives the other; suffix decoding drafts up to its tree's depth."""
    assert parse('{"method": "ngram", "num_speculative_tokens": 4}') == NgramConfig(4, 5, 5)
    assert parse(
        '{"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 3}'
    ) == NgramConfig(4, 3, 3)
    assert parse('{"method": "suffix"}') == SuffixConfig(24, 24, 10_000, 1.0, 0.1)
    assert parse('{"method": "suffix", "suffix_decoding_max_cached_requests": 0}') == SuffixConfig(
        24, 24, 0
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ngram", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"method": "eagle3"}', "`eagle3` is not modelled"),
        ('{"method": "ngram"}', "needs `num_speculative_tokens`"),
        ('{"method": "ngram", "num_speculative_tokens": 0}', "a whole number from 1"),
        (
            '{"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_min": 4, '
            '"prompt_lookup_max": 3}',
            "4 is above `prompt_lookup_max` 3",
        ),
        ('{"method": "suffix", "prompt_lookup_min": 4}', "`prompt_lookup_min`, which is not"),
        ('{"method": "suffix", "suffix_decoding_min_token_prob": 2}', "from 0 up to 1"),
    ],
)
def test_a_config_that_vllm_refuses_or_that_is_not_modelled_says_why(
    text: str, reason: str
) -> None:
    """Every refusal names what is wrong."""
    with pytest.raises(UsageError, match=reason):
        parse(text)

"""Which cache is followed, and when following ends."""

from dataclasses import replace

import numpy as np
import pytest
from phasewise_replay.engine import Answer, PrefixCacheKind, Resolved
from phasewise_replay.runs.prediction import Prediction

SERVER = Resolved(
    "url", "m", "measured", prefix_caching=True, block_tokens=16, blocks=100, prefix_cache="paged"
)
PROMPT = np.arange(40)
ANSWER = Answer(sent_ns=0, duration_ns=1, output_token_ids=np.array([50, 51, 52]))


@pytest.mark.parametrize(("kind", "page", "hit"), [("paged", 16, 32), ("radix", 1, 42)])
def test_each_engine_is_followed_by_its_own_rules(
    kind: PrefixCacheKind, page: int, hit: int
) -> None:
    """VLLM serves the full blocks of what it read and wrote, SGLang every token but the last."""
    prediction = Prediction(replace(SERVER, prefix_cache=kind, block_tokens=page, blocks=1600))
    assert prediction.before(PROMPT) == 0
    prediction.after(PROMPT, ANSWER)
    assert prediction.before(np.array([*PROMPT, 50, 51, 52, 53])) == hit


def test_rules_that_are_not_known_are_not_guessed() -> None:
    """No kind, or no size of a block: silence.  No caching at all: certainly nothing."""
    assert Prediction(replace(SERVER, prefix_cache=None)).before(PROMPT) is None
    assert Prediction(replace(SERVER, block_tokens=None)).before(PROMPT) is None
    assert Prediction(replace(SERVER, prefix_cache=None, prefix_caching=False)).before(PROMPT) == 0


@pytest.mark.parametrize(
    "answer", [replace(ANSWER, error="refused"), replace(ANSWER, output_token_ids=None)]
)
def test_an_answer_that_does_not_say_what_was_written_ends_it(answer: Answer) -> None:
    """From there on the engine holds what nobody here knows."""
    prediction = Prediction(replace(SERVER, prefix_cache="radix", block_tokens=1))
    prediction.after(PROMPT, answer)
    assert prediction.before(PROMPT) is None

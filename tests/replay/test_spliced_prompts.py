"""A prompt that grows is encoded as one that does not."""

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_replay.client.spliced_prompts import SplicedPrompts
from phasewise_replay.engine import Request

texts = st.lists(st.tuples(st.booleans(), st.text(max_size=20)), max_size=8)
ids = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 200_000), max_size=8)), max_size=8)


@settings(max_examples=50)
@given(texts)
def test_texts_that_grow_or_begin_anew(steps: list[tuple[bool, str]]) -> None:
    """Every prompt decodes to itself, whatever was sent before."""
    prompts, prompt = SplicedPrompts(), ""
    for step, (grows, text) in enumerate(steps):
        prompt = prompt + text if grows else text
        encoded = prompts.encoded(Request("r", "s", "c", step, 1, prompt=prompt))
        assert orjson.loads(encoded) == prompt


@settings(max_examples=50)
@given(ids)
def test_token_ids_that_grow_or_begin_anew(steps: list[tuple[bool, list[int]]]) -> None:
    """Every prompt decodes to itself; sessions do not mix."""
    prompts, prompt = SplicedPrompts(), list[int]()
    for step, (grows, more) in enumerate(steps):
        prompt = prompt + more if grows else more
        for session in ("a", "b"):
            array = np.array(prompt, dtype=np.int64)
            request = Request("r", session, "c", step, 1, prompt_token_ids=array)
            assert orjson.loads(prompts.encoded(request)) == prompt

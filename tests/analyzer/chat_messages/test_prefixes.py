"""Any history, in any API's shape, becomes a chat that can be sent and that grows as it grew."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.chat_messages.facts import Thinking
from phasewise_analyzer.chat_messages.normalise import Normaliser

from tests.analyzer.chat_messages.shapes import SHAPES, Message, Turn, segment, turns
from tests.replay.chat_rules import refusal

THINKING = st.sampled_from(["drop", "text"])
Shape = Callable[[Turn], Message]


@pytest.mark.parametrize("shape", SHAPES, ids=[one.__name__ for one in SHAPES])
@given(history=turns(), thinking=THINKING)
def test_every_history_can_be_sent(shape: Shape, history: list[Turn], thinking: Thinking) -> None:
    """Nothing in it is what vLLM's parser or a strict template refuses."""
    prompt = Normaliser(thinking).prompt([segment(shape(turn)) for turn in history])
    assert refusal({"messages": [json.loads(one) for one in prompt.messages]}) is None


@pytest.mark.parametrize("shape", SHAPES, ids=[one.__name__ for one in SHAPES])
@given(history=turns(), thinking=THINKING, data=st.data())
def test_a_prompt_that_goes_on_begins_with_the_same_messages(
    shape: Shape, history: list[Turn], thinking: Thinking, data: st.DataObject
) -> None:
    """All messages stay; one of the assistant or the system that is still open may grow."""
    segments = [segment(shape(turn)) for turn in history]
    cut = data.draw(st.integers(0, len(segments)))
    first = Normaliser(thinking).prompt(segments[:cut]).messages
    whole = Normaliser(thinking).prompt(segments).messages
    if json.loads(first[-1]) == {"role": "user", "content": "."}:
        first = first[:-1]  # what is said where nobody has spoken yet
    if first and json.loads(first[-1])["role"] in ("assistant", "system"):
        assert goes_on(json.loads(first[-1]), json.loads(whole[len(first) - 1]))
        first = first[:-1]
    assert whole[: len(first)] == first


@pytest.mark.parametrize("shape", SHAPES, ids=[one.__name__ for one in SHAPES])
@given(history=turns(), order=st.data())
def test_a_prompt_does_not_depend_on_what_was_normalised_before(
    shape: Shape, history: list[Turn], order: st.DataObject
) -> None:
    """One normaliser for a session's prompts, in any order, gives what a new one gives."""
    segments = [segment(shape(turn)) for turn in history]
    one = Normaliser()
    for cut in order.draw(st.lists(st.integers(0, len(segments)), max_size=4)):
        assert one.prompt(segments[:cut]) == Normaliser().prompt(segments[:cut])


def goes_on(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Say whether a message is the beginning of another."""
    calls, more = before.get("tool_calls", []), after.get("tool_calls", [])
    return (
        before["role"] == after["role"]
        and words(after).startswith(words(before))
        and more[: len(calls)] == calls
    )


def words(message: dict[str, Any]) -> str:
    """Give a message's text, be it one or in parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)

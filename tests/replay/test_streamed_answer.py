"""The first token is the first delta that carries output, of whatever kind."""

import json

import pytest
from phasewise_replay.client.stream_events import DONE
from phasewise_replay.client.streamed_answer import has_content


def event(**delta: object) -> bytes:
    """Write a chunk of a streamed chat."""
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode()


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        {"reasoning_content": "a"},
        {"reasoning": "a"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f"}},
        {"refusal": "no"},
    ],
)
def test_output_of_every_kind_is_a_token(delta: dict[str, object]) -> None:
    """Text, reasoning under both names, a call of a tool, a refusal."""
    assert has_content(event(role="assistant", **delta))


@pytest.mark.parametrize(
    "delta", [{}, {"role": "assistant"}, {"role": "assistant", "content": ""}, {"tool_calls": []}]
)
def test_a_delta_without_output_is_none(delta: dict[str, object]) -> None:
    """The role comes before the model has written anything."""
    assert not has_content(event(**delta))
    assert not has_content(DONE)

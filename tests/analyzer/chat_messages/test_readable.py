"""Segments of every API as words: what a person sees of a call."""

import orjson
import pytest
from phasewise_analyzer.chat_messages.readable import readable
from phasewise_store.facts import SegmentKind
from phasewise_store.segments import text_segment

IMAGE = "data:image/png;base64,iVBORw0KGgo="


def written(message: object, kind: SegmentKind = "message") -> str:
    """Give what a person reads of a message's JSON."""
    found = readable(text_segment(kind, orjson.dumps(message).decode(), "user"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "content": "Hi\nthere"}, "Hi\nthere"),
        (  # Anthropic
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "ls", "input": {"path": "/"}},
                ],
            },
            '[thinking]\nHm.\n\nI look.\n\n[calls ls]\n{\n  "path": "/"\n}',
        ),
        (
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "bin etc"}],
            },
            "[result of t1]\nbin etc",
        ),
        (  # Responses
            {
                "type": "function_call",
                "role": "assistant",
                "call_id": "c1",
                "name": "ls",
                "arguments": '{"path":"/"}',
            },
            '[calls ls]\n{\n  "path": "/"\n}',
        ),
        (
            {
                "type": "reasoning",
                "role": "assistant",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "x" * 40,
            },
            "[thinking]\nHm.",
        ),
        (
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": IMAGE},
                ],
            },
            "What is it?\n\n[image, about 800 tokens]",
        ),
        (  # chat completions
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            "[calls f]\n{}",
        ),
        (  # Gemini
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
            '[calls f]\n{\n  "a": 1\n}',
        ),
    ],
)
def test_a_message_is_words(message: object, words: str) -> None:
    """Text, thoughts, calls, results and images of each API, and no JSON around them."""
    assert written(message) == words


def test_a_tool_is_its_name_and_what_it_does() -> None:
    """In either form, the schema behind it."""
    schema = {"type": "object"}
    anthropic = {"name": "ls", "description": "Lists.", "input_schema": schema}
    openai = {
        "type": "function",
        "function": {"name": "ls", "description": "Lists.", "parameters": schema},
    }
    for definition in (anthropic, openai):
        assert written(definition, "tool").startswith("ls\n\nLists.\n\n{")


def test_text_and_broken_json_stay_as_they_are() -> None:
    """A prompt that is no message, and a message that was cut short."""
    assert readable(text_segment("text", "Once upon", None)) == "Once upon"
    assert readable(text_segment("message", '{"role": "us', "user")) == '{"role": "us'
    assert written([1, 2], "tool") == "[\n  1,\n  2\n]"

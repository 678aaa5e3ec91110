"""Which endpoint a session was captured from: what only one API writes, else the provider."""

import pytest
from phasewise_analyzer.chat_messages.captured_endpoint import CapturedEndpoint, captured_endpoint
from phasewise_store.facts import SegmentKind
from phasewise_store.segments import text_segment

SAID = ("message", '{"role":"user","content":"hello"}')


@pytest.mark.parametrize(
    ("kind", "text", "endpoint"),
    [
        ("message", '{"role":"user","content":[{"type":"tool_result","content":"x"}]}', "messages"),
        ("message", '{"role":"assistant","content":[{"type":"thinking"}]}', "messages"),
        ("message", '{"role":"user","content":[{"type":"text","cache_control":{}}]}', "messages"),
        ("system", '{"type":"text","text":"rules"}', "messages"),
        ("tool", '{"name":"f","input_schema":{}}', "messages"),
        ("tool", '{"type":"bash_20250124","name":"bash"}', "messages"),
        ("message", '{"type":"function_call","call_id":"c","name":"f"}', "responses"),
        ("message", '{"role":"user","content":[{"type":"input_text"}]}', "responses"),
        ("message", '{"type":"reasoning","encrypted_content":"x"}', "responses"),
        ("message", '{"role":"assistant","tool_calls":[{"id":"c"}]}', "chat"),
        ("tool", '{"type":"function","function":{"name":"f"}}', "chat"),
    ],
)
def test_what_one_api_writes_shows_it(
    kind: SegmentKind, text: str, endpoint: CapturedEndpoint
) -> None:
    """In any call of the session, and whoever the provider is."""
    prompts = [
        [text_segment("message", SAID[1], "user")],
        [text_segment("message", SAID[1], "user"), text_segment(kind, text, None)],
    ]
    for provider in ("anthropic", "openai", None):
        assert captured_endpoint(prompts, provider=provider) == endpoint


@pytest.mark.parametrize("text", [SAID[1], "no JSON", "[]", '{"role":"user","parts":[]}'])
def test_words_alone_leave_it_to_the_provider(text: str) -> None:
    """Anthropic's models are called at its messages, all others as chats."""
    prompts = [[text_segment("message", text, "user")]]
    assert captured_endpoint(prompts, provider="anthropic") == "messages"
    assert captured_endpoint(prompts, provider="openai") == "chat"
    assert captured_endpoint([], provider=None) == "chat"

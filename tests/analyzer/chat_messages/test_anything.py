"""Whatever JSON a message holds, something is sent that a strict server takes."""

import json

from hypothesis import example, given
from hypothesis import strategies as st
from phasewise_analyzer.chat_messages.normalise import Normaliser
from phasewise_store.facts import SegmentKind
from phasewise_store.segments import text_segment

from tests.replay.chat_rules import refusal

_KEYS = """
type role text content parts id call_id tool_use_id toolUseId name input arguments args output
response result thinking summary source data media_type image_url url thought function tool_calls
tool_call_id functionCall functionResponse toolUse toolResult reasoningContent encrypted_content
additional_kwargs audio refusal parameters input_schema toolSpec json
"""
_WORDS = """
text tool_use tool_result function_call function_call_output reasoning thinking image document
image_url message web_search_call web_search_tool_result custom_tool_call function user assistant
tool system model developer a data:image/png;base64,AA== {} [1] \ud800
"""
KEYS = st.sampled_from(_KEYS.split())
WORDS = st.sampled_from(["", '{"x": 1}', *_WORDS.split()])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
KINDS: tuple[SegmentKind, ...] = ("message", "system", "tool")
SEGMENTS = st.builds(
    lambda kind, value, role: text_segment(kind, json.dumps(value), role),
    st.sampled_from(KINDS),
    VALUES | st.dictionaries(KEYS, VALUES, max_size=6),
    st.sampled_from([None, "user", "assistant", "tool"]),
)


@example([text_segment("system", '{"content": [{"functionCall": {"name": "f"}}]}')])
@example([text_segment("message", '{"content": -9223372036854775809, "type": NaN}')])
@given(st.lists(SEGMENTS, max_size=6))
def test_anything_becomes_a_chat(history: list[object]) -> None:
    """No shape stops a replay: what nobody knows is sent as it is written."""
    prompt = Normaliser().prompt(history)  # type: ignore[arg-type]  # segments
    body = {
        "messages": [json.loads(message) for message in prompt.messages],
        "tools": [json.loads(tool) for tool in prompt.tools],
    }
    assert refusal(body) is None

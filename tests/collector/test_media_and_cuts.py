"""Images in prompts are placeholders, and JSON that was cut short keeps what stands before."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_collector.dialects import cut_json, media, written
from phasewise_collector.dialects.content import take
from phasewise_collector.otlp.spans import ReceivedSpan, Value

PICTURE = bytes(range(256)) * 4
DATA = base64.b64encode(PICTURE).decode()


def span(**attributes: Value) -> ReceivedSpan:
    """Make a span of an LLM call."""
    found: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        **attributes,
    }
    return ReceivedSpan("1" * 32, "2" * 16, None, "chat", "client", 5, 9, found)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
        {"inlineData": {"mimeType": "image/png", "data": DATA}},
        {"image": {"format": "png", "source": {"bytes": DATA}}},
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
    ],
)
def test_media_is_a_placeholder_of_its_digest(part: dict[str, Any]) -> None:
    """The text of base64 is neither stored nor counted; the same bytes give the same segment."""
    message: dict[str, object] = {"role": "user"}
    message["content"] = [{"type": "text", "text": "what is this?"}, part]
    segment = written.message(message).segment
    assert segment.tokens < 120
    assert f"bytes={len(PICTURE)}" in (segment.content or b"").decode()
    assert written.message(message).segment.digest == segment.digest
    other = json.loads(json.dumps(message).replace(DATA, base64.b64encode(PICTURE[1:]).decode()))
    assert written.message(other).segment.digest != segment.digest


def test_text_beside_media_stays() -> None:
    """A long word in a text part is no image."""
    part = {"type": "text", "text": "a" * 1000}
    assert media.without({"content": [part, {"data": DATA}]}) == {
        "content": [part, media.without({"data": DATA})]
    }


def test_a_blob_of_opentelemetry_is_kept_as_an_image() -> None:
    """A message with a blob and an address keeps its text and both, in their order."""
    parts = [
        {"type": "text", "content": "what is this?"},
        {"type": "blob", "mime_type": "image/png", "content": DATA},
        {"type": "uri", "modality": "image", "uri": "https://example.com/y.png"},
    ]
    taken = take(span(**{"gen_ai.input.messages": json.dumps([{"role": "user", "parts": parts}])}))
    (segment,) = taken.prompt
    content = json.loads(segment.content or b"")["content"]
    assert [one["type"] for one in content] == ["text", "image", "image_url"]
    assert content[1]["source"]["data"].endswith(f"bytes={len(PICTURE)}")


WORD = st.text('a",[{\\é\U0001f600', max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(JSON, min_size=1, max_size=3) | st.dictionaries(WORD, JSON, min_size=1, max_size=3),
    st.data(),
)
def test_any_cut_is_read_up_to_it(value: object, data: st.DataObject) -> None:
    """Wherever a JSON text is cut, a value of its kind comes back; a whole text is not cut."""
    text = json.dumps(value)
    place = data.draw(st.integers(1, len(text) - 1))
    found = cut_json.repaired(text[:place])
    assert type(found) is type(value)
    assert cut_json.repaired(text) is None


@pytest.mark.parametrize("text", ["[TODO] fix it", "{user} says", "[1] see below", "{]"])
def test_what_is_no_json_stays_text(text: str) -> None:
    """A prompt that begins with a bracket is not taken for JSON."""
    assert not cut_json.is_cut(text)


@pytest.mark.parametrize("length", [60, 4000])
def test_cut_messages_keep_their_text_and_say_so(length: int) -> None:
    """Messages cut in the middle are a prompt with what was left, and marked as truncated."""
    messages = [{"role": "user", "content": "word " * 300} for _ in range(5)]
    whole = json.dumps(messages)
    taken = take(span(**{"input.value": json.dumps({"messages": messages})[:length]}))
    assert taken.prompt
    assert taken.span.attributes["phasewise.truncated"] is True
    assert "phasewise.truncated" not in take(span(**{"ai.prompt.messages": whole})).span.attributes


@pytest.mark.parametrize("end_ns", [0, 3])
def test_a_span_never_ends_before_it_starts(end_ns: int) -> None:
    """A broken clock, or a span without an end, has no length."""
    received = ReceivedSpan("1" * 32, "2" * 16, None, "chat", "client", 5, end_ns, {})
    assert take(received).span.end_ns == 5


@pytest.mark.parametrize("tail", ["", "\\", "\\u12", "\\ud83d", "\\ud83d\\ude"])
def test_a_cut_character_costs_no_text(tail: str) -> None:
    """Half an escape, or half a surrogate pair, at the end is left out alone."""
    assert cut_json.repaired('[{"a": "so far' + tail) == [{"a": "so far"}]

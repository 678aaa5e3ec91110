"""The same conversation as each API writes it: what `turns` generates, in its messages."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st
from phasewise_store.facts import Segment, SegmentKind
from phasewise_store.segments import text_segment

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
Message = dict[str, Any]
Kind = Literal["ask", "ask with image", "answer", "call", "results", "late system", "thought"]


@dataclass(frozen=True)
class Turn:
    """One thing that is said."""

    kind: Kind
    words: str
    ids: tuple[str | None, ...] = ()


def segment(message: Mapping[str, object]) -> Segment:
    """Store a message."""
    role = str(message["role"])
    kind: SegmentKind = "system" if role in ("system", "developer") else "message"
    return text_segment(kind, json.dumps(message), role)


def tool(definition: object) -> Segment:
    """Store a tool's definition."""
    return text_segment("tool", json.dumps(definition))


def turns() -> st.SearchStrategy[list[Turn]]:
    """Generate conversations, also such as no API would take: lost, late and repeated results."""
    ids = st.lists(st.sampled_from(["a", "b", "c", "", None]), min_size=1, max_size=3)
    kinds = st.sampled_from(Kind.__args__)  # type: ignore[attr-defined]  # of a Literal
    words = st.text("ab \n", max_size=6)
    return st.lists(st.builds(Turn, kinds, words, ids.map(tuple)), max_size=12)


def anthropic(turn: Turn) -> Message:
    """Write blocks."""
    text = {"type": "text", "text": turn.words}
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
    }
    thought = {"type": "thinking", "thinking": turn.words, "signature": "s"}
    calls = [{"type": "tool_use", "id": i, "name": "f", "input": {"x": 1}} for i in turn.ids]
    results = [
        {"type": "tool_result", "tool_use_id": i, "content": [text, image]} for i in turn.ids
    ]
    written: dict[Kind, Message] = {
        "ask": {"role": "user", "content": turn.words},
        "ask with image": {"role": "user", "content": [text, image]},
        "answer": {"role": "assistant", "content": [thought, text]},
        "call": {"role": "assistant", "content": [text, *calls]},
        "results": {"role": "user", "content": [*results, text]},
        "late system": {"role": "system", "content": [text]},
        "thought": {"role": "assistant", "content": [thought]},
    }
    return written[turn.kind]


def responses(turn: Turn) -> Message:
    """Write items of OpenAI's Responses API, as Codex keeps them."""
    said = {"type": "message", "role": "assistant", "content": [_output(turn.words)]}
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "x"}
    calls = [
        {"type": "function_call", "call_id": i, "name": "f", "arguments": '{"x": 1}'}
        for i in turn.ids
    ]
    results = [
        {"type": "function_call_output", "call_id": i, "output": turn.words} for i in turn.ids
    ]
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
    asked = {"type": "input_text", "text": turn.words}
    written: dict[Kind, Message] = {
        "ask": {"role": "user", "content": [asked]},
        "ask with image": {"role": "user", "content": [asked, image]},
        "answer": {"role": "assistant", "content": [thought, said]},
        "call": {"role": "assistant", "content": [thought, *calls]},
        "results": {"role": "tool", "content": results},
        "late system": {"role": "developer", "content": [asked]},
        "thought": {"role": "assistant", "content": [thought]},
    }
    return written[turn.kind]


def gemini(turn: Turn) -> Message:
    """Write parts."""
    text = {"text": turn.words}
    thought = {"text": turn.words, "thought": True}
    calls = [{"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "s"}]
    results = [{"functionResponse": {"name": "f", "response": {"result": turn.words}}}]
    image = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    written: dict[Kind, Message] = {
        "ask": {"role": "user", "content": [text]},
        "ask with image": {"role": "user", "content": [text, image]},
        "answer": {"role": "model", "content": [thought, text]},
        "call": {"role": "model", "content": calls * len(turn.ids)},
        "results": {"role": "user", "content": results * len(turn.ids)},
        "late system": {"role": "system", "content": [text]},
        "thought": {"role": "model", "content": [thought]},
    }
    return written[turn.kind]


def bedrock(turn: Turn) -> Message:
    """Write blocks of the Converse API."""
    text = {"text": turn.words}
    thought = {"reasoningContent": {"reasoningText": {"text": turn.words, "signature": "s"}}}
    calls = [{"toolUse": {"toolUseId": i, "name": "f", "input": {"x": 1}}} for i in turn.ids]
    results = [
        {"toolResult": {"toolUseId": i, "content": [text, {"json": {"y": 2}}]}} for i in turn.ids
    ]
    image = {"image": {"format": "png", "source": {"bytes": PIXEL}}}
    written: dict[Kind, Message] = {
        "ask": {"role": "user", "content": [text, {"cachePoint": {"type": "default"}}]},
        "ask with image": {"role": "user", "content": [text, image]},
        "answer": {"role": "assistant", "content": [thought, text]},
        "call": {"role": "assistant", "content": [text, *calls]},
        "results": {"role": "user", "content": [*results, text]},
        "late system": {"role": "system", "content": [text]},
        "thought": {"role": "assistant", "content": [thought]},
    }
    return written[turn.kind]


def chat(turn: Turn) -> Message:
    """Write OpenAI's chat messages, with the null fields that its SDK dumps."""
    calls = [
        {"id": i, "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
        for i in turn.ids
    ]
    nulls: Message = {"refusal": None, "audio": None, "function_call": None, "annotations": []}
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    written: dict[Kind, Message] = {
        "ask": {"role": "user", "content": turn.words},
        "ask with image": {"role": "user", "content": [_text(turn.words), url]},
        "answer": {"role": "assistant", "content": turn.words, **nulls},
        "call": {"role": "assistant", "content": None, "tool_calls": calls, **nulls},
        "results": {
            "role": "tool",
            "tool_call_id": turn.ids[0] if turn.ids else None,
            "content": turn.words,
        },
        "late system": {"role": "system", "content": turn.words},
        "thought": {"role": "assistant", "content": None, "reasoning_content": turn.words},
    }
    return written[turn.kind]


def vercel(turn: Turn) -> Message:
    """Write the parts of the AI SDK."""
    calls = [
        {"type": "tool-call", "toolCallId": i, "toolName": "f", "input": {"x": 1}} for i in turn.ids
    ]
    results = [
        {
            "type": "tool-result",
            "toolCallId": i,
            "toolName": "f",
            "output": {"type": "text", "value": turn.words},
        }
        for i in turn.ids
    ]
    file = {"type": "file", "mediaType": "image/png", "data": PIXEL}
    thought = {"type": "reasoning", "text": turn.words}
    written: dict[Kind, Message] = {
        "ask": {"role": "user", "content": [_text(turn.words)]},
        "ask with image": {"role": "user", "content": [_text(turn.words), file]},
        "answer": {"role": "assistant", "content": [thought, _text(turn.words)]},
        "call": {"role": "assistant", "content": calls},
        "results": {"role": "tool", "content": results},
        "late system": {"role": "system", "content": turn.words},
        "thought": {"role": "assistant", "content": [thought]},
    }
    return written[turn.kind]


def _text(words: str) -> Message:
    return {"type": "text", "text": words}


def _output(words: str) -> Message:
    return {"type": "output_text", "text": words, "annotations": []}


SHAPES: Sequence[Callable[[Turn], Message]] = (
    anthropic,
    responses,
    gemini,
    bedrock,
    chat,
    vercel,
)

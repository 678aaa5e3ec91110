"""Write a conversation as the request body of four APIs, and read it as the collector does."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from phasewise_collector.dialects.content import content_of
from phasewise_store.facts import Segment

from tests.analyzer.diagnosis.conversations import Conversation, Turn

Body = dict[str, Any]


def segments(body: Mapping[str, object]) -> tuple[Segment, ...]:
    """Read a request body from the attribute in which OpenInference records it."""
    return content_of({"input.value": json.dumps(body, ensure_ascii=False)}).prompt


def chat(made: Conversation) -> Body:
    """Write OpenAI's chat completions."""
    messages: list[Body] = [{"role": "system", "content": text} for text in made.system]
    for turn in made.turns:
        if turn.role == "user":
            content: object = turn.text
            if turn.image:
                url = {
                    "url": f"data:image/png;base64,{_encoded(turn.image)}",
                    "detail": turn.detail,
                }
                content = [
                    {"type": "text", "text": turn.text},
                    {"type": "image_url", "image_url": url},
                ]
            messages.append({"role": "user", "content": content})
            continue
        message: Body = {"role": "assistant", "content": turn.text}
        if turn.thinking:
            message["reasoning_content"] = turn.thinking
        if turn.calls:
            message["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in turn.calls
            ]
        messages.append(message)
        messages += [
            {"role": "tool", "tool_call_id": call.call_id, "content": call.result}
            for call in _results(turn)
        ]
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in made.tools
    ]
    return {"model": "m", "messages": messages, "tools": tools}


def responses(made: Conversation) -> Body:
    """Write OpenAI's responses API with all items in the request."""
    items: list[Body] = []
    for turn in made.turns:
        if turn.role == "user":
            content: list[Body] = [{"type": "input_text", "text": turn.text}]
            if turn.image:
                content.append(
                    {
                        "type": "input_image",
                        "image_url": f"data:image/png;base64,{_encoded(turn.image)}",
                        "detail": turn.detail,
                    }
                )
            items.append({"role": "user", "content": content})
            continue
        if turn.thinking:
            items.append(
                {
                    "type": "reasoning",
                    "id": f"rs_{_hash(made, turn.thinking)}",
                    "summary": [{"type": "summary_text", "text": turn.thinking}],
                }
            )
        text = {"type": "output_text", "text": turn.text, "annotations": []}
        items.append({"type": "message", "role": "assistant", "content": [text]})
        items += [
            {
                "type": "function_call",
                "call_id": call.call_id,
                "name": call.name,
                "arguments": call.arguments,
            }
            for call in turn.calls
        ]
        items += [
            {"type": "function_call_output", "call_id": call.call_id, "output": call.result}
            for call in _results(turn)
        ]
    tools = [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }
        for tool in made.tools
    ]
    return {"model": "m", "instructions": "\n\n".join(made.system), "input": items, "tools": tools}


def anthropic(made: Conversation) -> Body:
    """Write Anthropic's messages API."""
    messages: list[Body] = []
    for turn in made.turns:
        if turn.role == "user":
            blocks: list[Body] = [{"type": "text", "text": turn.text}]
            if turn.image:
                source = {
                    "type": "base64",
                    "media_type": "image/png",
                    "data": _encoded(turn.image),
                }
                blocks.insert(0, {"type": "image", "source": source})
            messages.append({"role": "user", "content": blocks})
            continue
        blocks = []
        if turn.thinking:
            signature = _hash(made, turn.thinking)
            blocks.append({"type": "thinking", "thinking": turn.thinking, "signature": signature})
        blocks.append({"type": "text", "text": turn.text})
        blocks += [
            {
                "type": "tool_use",
                "id": call.call_id,
                "name": call.name,
                "input": json.loads(call.arguments),
            }
            for call in turn.calls
        ]
        messages.append({"role": "assistant", "content": blocks})
        results = [
            {"type": "tool_result", "tool_use_id": call.call_id, "content": call.result}
            for call in _results(turn)
        ]
        if results:
            messages.append({"role": "user", "content": results})
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        for tool in made.tools
    ]
    system: object = [{"type": "text", "text": text} for text in made.system]
    return {"model": "m", "system": system, "messages": messages, "tools": tools}


def gemini(made: Conversation) -> Body:
    """Write Gemini's generateContent."""
    contents: list[Body] = []
    for turn in made.turns:
        parts: list[Body] = []
        if turn.thinking:
            parts.append({"text": turn.thinking, "thought": True})
        parts.append({"text": turn.text})
        if turn.image:
            data = {"mimeType": "image/png", "data": _encoded(turn.image)}
            parts.append({"inlineData": data, "mediaResolution": {"level": turn.detail}})
        parts += [
            {"functionCall": {"name": call.name, "args": json.loads(call.arguments)}}
            for call in turn.calls
        ]
        contents.append({"role": "user" if turn.role == "user" else "model", "parts": parts})
        results = [
            {"functionResponse": {"name": call.name, "response": {"output": call.result}}}
            for call in _results(turn)
        ]
        if results:
            contents.append({"role": "user", "parts": results})
    declared = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        for tool in made.tools
    ]
    return {
        "systemInstruction": {"parts": [{"text": text} for text in made.system]},
        "contents": contents,
        "tools": [{"functionDeclarations": declared}],
    }


SHAPES: Mapping[str, Callable[[Conversation], Body]] = {
    "chat": chat,
    "responses": responses,
    "anthropic": anthropic,
    "gemini": gemini,
}
HISTORY: Mapping[str, str] = {
    "chat": "messages",
    "responses": "input",
    "anthropic": "messages",
    "gemini": "contents",
}
"""the key of a body under which its history is"""


def _results(turn: Turn) -> list[Any]:
    order = turn.results_order or range(len(turn.calls))
    return [turn.calls[place] for place in order if place not in turn.cleared]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hash(made: Conversation, text: str) -> str:
    return hashlib.sha256(f"{made.salt}{text}".encode()).hexdigest()

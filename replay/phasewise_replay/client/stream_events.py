"""What one server-sent event of a streamed answer says, in the events of every endpoint.  Pure.

Chat completions and completions send chunks without a type; Anthropic's messages and OpenAI's
Responses name the type in each event.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

DONE = b"[DONE]"
_OUTPUT = (
    *("content", "text", "reasoning", "reasoning_content", "reasoning_details", "thinking"),
    *("tool_calls", "function_call", "refusal", "audio"),
)
"""fields of a chat's delta that contain generated output, in the responses of all servers"""
_TEXT = ("reasoning", "reasoning_content", "content", "text")
"""those that are text, in the order in which they are written"""
_ANTHROPIC_DELTAS = ("thinking", "text", "partial_json")
_ENDED = ("response.completed", "response.incomplete", "response.failed")
_WRITTEN = ("response.output_text.delta", "response.refusal.delta")
_THOUGHT = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_ARGUMENTS = "response.function_call_arguments.delta"

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallPart:
    """A part of a tool call: its name, or some of its arguments."""

    place: int | None
    """of the call among those of the answer; None where the server does not number them"""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """What an event says; most say one of these."""

    is_output: bool = False
    """whether it has output of any kind, or is the end of the output"""
    is_end: bool = False
    """whether the answer is complete with it"""
    text: str = ""
    calls: tuple[CallPart, ...] = ()
    usage: Mapping[str, int | None] = field(default_factory=dict)
    """`input`, `cached` and `output` tokens, those that the event tells"""
    metrics: Fields = field(default_factory=dict)
    """vLLM's own times"""
    prompt_ids: list[int] | None = None
    output_ids: list[int] | None = None
    error: str | None = None


def read(event: bytes) -> StreamEvent:
    """Read the data of an event of any endpoint."""
    if event == DONE:
        return StreamEvent(is_end=True)
    fields = orjson.loads(event)
    kind = fields.get("type")
    if kind is None:
        return _chunk(fields)
    return _response(kind, fields) if kind.startswith("response.") else _message(kind, fields)


def _chunk(fields: Fields) -> StreamEvent:
    """Read a chunk of chat completions or completions."""
    text: list[str] = []
    calls: list[CallPart] = []
    is_output = False
    prompt_ids, output_ids = fields.get("prompt_token_ids") or None, None
    for choice in fields.get("choices") or []:
        delta = choice.get("delta") or choice
        text += [part for name in _TEXT if isinstance(part := delta.get(name), str)]
        calls += _chat_calls(delta.get("tool_calls") or ())
        prompt_ids = choice.get("prompt_token_ids") or prompt_ids
        if (ids := choice.get("token_ids")) is not None:
            output_ids = (output_ids or []) + ids
        is_output |= any(delta.get(name) for name in _OUTPUT)
        is_output |= bool(choice.get("token_ids") or choice.get("finish_reason"))
    return StreamEvent(
        is_output=is_output,
        text="".join(text),
        calls=tuple(calls),
        usage=_openai_usage(fields.get("usage"), "prompt", "completion"),
        metrics=fields.get("metrics") or {},
        prompt_ids=prompt_ids,
        output_ids=output_ids,
        error=_error(fields.get("error")),
    )


def _chat_calls(calls: Iterable[Fields]) -> Iterator[CallPart]:
    for call in calls:
        function = call.get("function") or {}
        name, arguments = function.get("name") or "", function.get("arguments") or ""
        yield CallPart(call.get("index"), name, arguments)


def _openai_usage(usage: Fields | None, read: str, written: str) -> dict[str, int | None]:
    if not usage:
        return {}
    details = usage.get(f"{read}_tokens_details")
    return {
        "input": _count(usage.get(f"{read}_tokens")),
        "cached": _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None,
        "output": _count(usage.get(f"{written}_tokens")),
    }


def _message(kind: str, fields: Fields) -> StreamEvent:
    """Read an event of Anthropic's messages."""
    if kind == "message_start":
        return StreamEvent(usage=_anthropic_usage(fields["message"].get("usage")))
    if kind == "content_block_start":
        block = fields["content_block"]
        if block.get("type") != "tool_use":
            return StreamEvent(text=block.get("text") or "", is_output=bool(block.get("text")))
        call = CallPart(fields["index"], block["name"])
        return StreamEvent(is_output=True, calls=(call,))
    if kind == "content_block_delta":
        delta = fields["delta"]
        arguments = delta.get("partial_json") or ""
        return StreamEvent(
            is_output=any(delta.get(name) for name in _ANTHROPIC_DELTAS),
            text=(delta.get("thinking") or "") + (delta.get("text") or ""),
            calls=(CallPart(fields["index"], arguments=arguments),) if arguments else (),
        )
    if kind == "message_delta":
        ended = bool((fields.get("delta") or {}).get("stop_reason"))
        return StreamEvent(is_output=ended, usage=_anthropic_usage(fields.get("usage")))
    failure = fields.get("error") or (fields if kind == "error" else None)
    return StreamEvent(is_end=kind == "message_stop", error=_error(failure))


def _anthropic_usage(usage: Fields | None) -> dict[str, int | None]:
    """Return the counts that an event has; the input without what was cached is `uncached`."""
    names = {
        "input_tokens": "uncached",
        "cache_read_input_tokens": "cached",
        "cache_creation_input_tokens": "written",
        "output_tokens": "output",
    }
    counts = {name: _count((usage or {}).get(theirs)) for theirs, name in names.items()}
    return {name: count for name, count in counts.items() if count is not None}


def _response(kind: str, fields: Fields) -> StreamEvent:
    """Read an event of OpenAI's Responses."""
    if kind in _ENDED:
        response = fields["response"]
        return StreamEvent(
            is_output=True,
            is_end=True,
            usage=_openai_usage(response.get("usage"), "input", "output"),
            metrics=response.get("metrics") or {},
            error=_error(response.get("error")),
        )
    if kind in _WRITTEN or kind in _THOUGHT:
        return StreamEvent(is_output=bool(fields["delta"]), text=fields["delta"])
    if kind == _ARGUMENTS:
        call = CallPart(fields["output_index"], arguments=fields["delta"])
        return StreamEvent(is_output=bool(fields["delta"]), calls=(call,))
    if kind == "response.output_item.added" and fields["item"].get("type") == "function_call":
        call = CallPart(fields["output_index"], fields["item"].get("name") or "")
        return StreamEvent(is_output=True, calls=(call,))
    return StreamEvent()


def _error(failure: object) -> str | None:
    if not failure:
        return None
    return str(failure.get("message", failure) if isinstance(failure, Mapping) else failure)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None

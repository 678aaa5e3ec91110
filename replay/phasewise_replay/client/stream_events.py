"""The server-sent events of a streamed answer, of every endpoint, put together one by one.  Pure.

Chat completions, completions and vLLM's token-in token-out endpoint send chunks without a type;
Anthropic's messages and OpenAI's Responses name the type in each event. `streamed_answer` reads
with it.
"""

from collections.abc import Mapping
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
_ANTHROPIC_TEXT = ("thinking", "text")
_ANTHROPIC_USAGE = {
    "input_tokens": "uncached",
    "cache_read_input_tokens": "cached",
    "cache_creation_input_tokens": "written",
    "output_tokens": "output",
}
_ENDED = ("response.completed", "response.incomplete", "response.failed")
_RESPONSE_TEXT = (
    *("response.output_text.delta", "response.refusal.delta"),
    *("response.reasoning_text.delta", "response.reasoning_summary_text.delta"),
)
_ARGUMENTS = "response.function_call_arguments.delta"
_ITEM = "response.output_item.added"

Fields = Mapping[str, Any]


def has_output(event: bytes) -> bool:
    """Return whether an event has output of any kind, or is the end of the output."""
    if event == DONE:
        return False
    fields = orjson.loads(event)
    kind = fields.get("type")
    if kind is None:
        return any(map(_choice_has_output, fields.get("choices") or ()))
    of_kind = _response_has_output if kind.startswith("response.") else _message_has_output
    return of_kind(kind, fields)


def _response_has_output(kind: str, fields: Fields) -> bool:
    if kind in _RESPONSE_TEXT or kind == _ARGUMENTS:
        return bool(fields["delta"])
    if kind == _ITEM:
        return bool(fields["item"].get("type") == "function_call")
    return kind in _ENDED


def _message_has_output(kind: str, fields: Fields) -> bool:
    if kind == "content_block_start":
        block = fields["content_block"]
        return block.get("type") == "tool_use" or bool(block.get("text"))
    if kind == "content_block_delta":
        delta = fields["delta"]
        return any(delta.get(name) for name in (*_ANTHROPIC_TEXT, "partial_json"))
    return kind == "message_delta" and bool(fields["delta"].get("stop_reason"))


def _choice_has_output(choice: Fields) -> bool:
    delta = choice.get("delta") or choice
    if any(delta.get(name) for name in _OUTPUT):
        return True
    return bool(choice.get("token_ids") or choice.get("finish_reason"))


class StreamReader:
    """What the events of one answer said so far."""

    def __init__(self, *, keeps_output: bool = False) -> None:
        """Begin; text and tool calls are kept only where they are wanted."""
        self.is_complete = False
        """whether the last event was the end of the answer"""
        self.usage: dict[str, int | None] = {}
        """tokens: `input`, or Anthropic's `uncached` and `written`; `cached`, `output`"""
        self.metrics: Fields = {}
        """vLLM's own times"""
        self.prompt_ids: list[int] | None = None
        self.output_ids: list[int] | None = None
        self.error: str | None = None
        self.response_id: str | None = None
        """by which the engine's log knows the request"""
        self.text: list[str] = []
        self.calls: dict[int, list[str]] = {}
        """name and arguments, by the call's place"""
        self._keeps_output = keeps_output

    def take(self, event: bytes) -> None:
        """Take the data of the next event."""
        self.is_complete = event == DONE
        if self.is_complete:
            return
        fields = orjson.loads(event)
        kind = fields.get("type")
        if kind is None:
            self._take_chunk(fields)
        elif kind.startswith("response."):
            self._take_response(kind, fields)
        else:
            self._take_message(kind, fields)

    def _take_chunk(self, fields: Fields) -> None:
        """Take a chunk of chat completions, completions, or token ids."""
        if failure := fields.get("error"):
            self._fail(failure)
        if usage := fields.get("usage"):
            self._take_usage(usage, "prompt", "completion")
        self.metrics = fields.get("metrics") or self.metrics
        self.prompt_ids = fields.get("prompt_token_ids") or self.prompt_ids
        self.response_id = fields.get("id") or fields.get("request_id") or self.response_id
        for choice in fields.get("choices") or ():
            self.prompt_ids = choice.get("prompt_token_ids") or self.prompt_ids
            if (ids := choice.get("token_ids")) is not None:
                self.output_ids = self.output_ids or []
                self.output_ids += ids
            if self._keeps_output:
                self._keep(choice.get("delta") or choice)

    def _keep(self, delta: Fields) -> None:
        """Keep the text and the calls of a chat's delta."""
        self.text += [part for name in _TEXT if isinstance(part := delta.get(name), str)]
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            place = call.get("index", len(self.calls))
            self._call(place, function.get("name") or "", function.get("arguments") or "")

    def _take_message(self, kind: str, fields: Fields) -> None:
        """Take an event of Anthropic's messages; an error of Responses looks the same."""
        if kind == "message_start":
            self.response_id = fields["message"].get("id")
            self._take_anthropic_usage(fields["message"].get("usage"))
        elif kind == "message_delta":
            self._take_anthropic_usage(fields.get("usage"))
        elif kind == "content_block_start":
            block = fields["content_block"]
            if block.get("type") == "tool_use":
                self._call(fields["index"], block["name"], "")
            self.text.append(block.get("text") or "")
        elif kind == "content_block_delta":
            delta = fields["delta"]
            self.text += [delta[name] for name in _ANTHROPIC_TEXT if delta.get(name)]
            if delta.get("partial_json"):
                self._call(fields["index"], "", delta["partial_json"])
        elif kind == "message_stop":
            self.is_complete = True
        elif kind == "error":
            self._fail(fields.get("error") or fields)

    def _take_response(self, kind: str, fields: Fields) -> None:
        """Take an event of OpenAI's Responses."""
        if kind in _RESPONSE_TEXT:
            self.text.append(fields["delta"])
        elif kind == _ARGUMENTS:
            self._call(fields["output_index"], "", fields["delta"])
        elif kind == _ITEM and fields["item"].get("type") == "function_call":
            self._call(fields["output_index"], fields["item"].get("name") or "", "")
        elif kind in _ENDED:
            self.is_complete = True
            response = fields["response"]
            self.response_id = response.get("id")
            self._take_usage(response.get("usage") or {}, "input", "output")
            self.metrics = response.get("metrics") or self.metrics
            if failure := response.get("error"):
                self._fail(failure)

    def _take_usage(self, usage: Fields, read: str, written: str) -> None:
        details = usage.get(f"{read}_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
        self.usage = {
            "input": _count(usage.get(f"{read}_tokens")),
            "cached": _count(cached),
            "output": _count(usage.get(f"{written}_tokens")),
        }

    def _take_anthropic_usage(self, usage: Fields | None) -> None:
        for theirs, name in _ANTHROPIC_USAGE.items():
            count = _count((usage or {}).get(theirs))
            if count is not None:
                self.usage[name] = count

    def _call(self, place: int, name: str, arguments: str) -> None:
        known = self.calls.setdefault(place, ["", ""])
        known[0] += name
        known[1] += arguments

    def _fail(self, failure: object) -> None:
        self.error = self.error or reason(failure)


def reason(failure: object) -> str:
    """Return why a server failed; vLLM has only the type of what some of its own code raises."""
    if isinstance(failure, Mapping):
        failure = failure.get("message") or failure.get("type") or failure
    return str(failure)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None

"""A normalised chat in the form of Anthropic's messages or of OpenAI's Responses.  Pure.

Messages that an endpoint takes as they are stay byte for byte. A prompt that continues an earlier
one has the same items at its start, so that prefix caches work on every endpoint alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from phasewise_replay.engine import Endpoint, Request

PATHS: Mapping[Endpoint, str] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "generate": "/inference/v1/generate",
}
TELL_IDS: frozenset[Endpoint] = frozenset({"chat", "generate"})
"""endpoints whose prompts are known in token ids: of other forms a template makes others"""
_IN_CHAT_FORM = ("chat", "completions")
Message = Mapping[str, Any]
_PLAIN_KEYS = {"role", "content"}


class EndpointForms:
    """Rewrites the chats of a session; what an earlier call has sent is not rewritten again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._items: dict[bytes, tuple[bytes, ...]] = {}
        self._tools: dict[bytes, bytes] = {}

    def rewritten(self, request: Request) -> Request:
        """Return a chat for the endpoint; raw prompts and token ids have endpoints of their own."""
        if self.endpoint in _IN_CHAT_FORM or not request.messages:
            return request
        first, *rest = request.messages
        system = _system(first)
        said = request.messages if system is None else tuple(rest)
        items = [self._of_message(message) for message in said]
        merged = _results_together(items) if self.endpoint == "messages" else items
        return replace(
            request,
            endpoint=self.endpoint,
            system=system,
            messages=tuple(item for part in merged for item in part),
            tools=tuple(self._of_tool(tool) for tool in request.tools),
        )

    def _of_message(self, raw: bytes) -> tuple[bytes, ...]:
        if raw not in self._items:
            made = _MESSAGE_ITEMS if self.endpoint == "messages" else _RESPONSES_ITEMS
            message = orjson.loads(raw)
            same = message.keys() == _PLAIN_KEYS and isinstance(message["content"], str)
            self._items[raw] = (raw,) if same else tuple(made[message["role"]](message))
        return self._items[raw]

    def _of_tool(self, raw: bytes) -> bytes:
        if raw not in self._tools:
            function = orjson.loads(raw)["function"]
            schema = function.get("parameters") or {"type": "object", "properties": {}}
            named = {"name": function["name"], "description": function.get("description", "")}
            if self.endpoint == "messages":
                made = named | {"input_schema": schema}
            else:
                strict = function.get("strict", False)
                made = {"type": "function", **named, "parameters": schema, "strict": strict}
            self._tools[raw] = orjson.dumps(made)
        return self._tools[raw]


def _system(raw: bytes) -> bytes | None:
    """Return the JSON of a system prompt, which both endpoints take as a text of its own."""
    message = orjson.loads(raw)
    return orjson.dumps(_text(message)) if message["role"] == "system" else None


def _text(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content)


def _said_to_messages(message: Message) -> Iterator[bytes]:
    yield orjson.dumps({"role": message["role"], "content": message["content"]})


def _assistant_to_messages(message: Message) -> Iterator[bytes]:
    content = message.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks = [orjson.dumps(part) for part in parts]
    for call in message.get("tool_calls") or ():
        named = {"type": "tool_use", "id": call["id"], "name": call["function"]["name"]}
        # arguments are the JSON of an object: its numbers and keys stay as they were written
        arguments = call["function"]["arguments"].encode()
        blocks.append(b'%b,"input":%b}' % (orjson.dumps(named)[:-1], arguments))
    yield b'{"role":"assistant","content":[%b]}' % b",".join(blocks)


_RESULTS_BEGIN, _RESULTS_END = b'{"role":"user","content":[{"type":"tool_result"', b"]}"


def _result_to_messages(message: Message) -> Iterator[bytes]:
    fields = {"tool_use_id": message["tool_call_id"], "content": message["content"]}
    yield b"%b,%b%b" % (_RESULTS_BEGIN, orjson.dumps(fields)[1:], _RESULTS_END)


def _results_together(items: Sequence[tuple[bytes, ...]]) -> Iterator[tuple[bytes, ...]]:
    """Put results that follow each other into one message: all answers to one turn."""
    results: list[bytes] = []
    for item in items:
        if item[0].startswith(_RESULTS_BEGIN):
            results += item
            continue
        if results:
            yield (_joined(results),)
            results = []
        yield item
    if results:
        yield (_joined(results),)


def _joined(results: Sequence[bytes]) -> bytes:
    head = len(_RESULTS_BEGIN) - len(b'{"type":"tool_result"')
    blocks = [one[head : -len(_RESULTS_END)] for one in results]
    return results[0][:head] + b",".join(blocks) + _RESULTS_END


def _said_to_responses(message: Message) -> Iterator[bytes]:
    yield orjson.dumps({"role": message["role"], "content": _text(message)})


def _assistant_to_responses(message: Message) -> Iterator[bytes]:
    if message.get("content"):
        yield from _said_to_responses(message)
    for call in message.get("tool_calls") or ():
        fields = {"type": "function_call", "call_id": call["id"]}
        yield orjson.dumps(fields | dict(call["function"]))


def _result_to_responses(message: Message) -> Iterator[bytes]:
    call_id = message["tool_call_id"]
    fields = {"type": "function_call_output", "call_id": call_id, "output": _text(message)}
    yield orjson.dumps(fields)


Items = Mapping[str, Callable[[Message], Iterator[bytes]]]
_MESSAGE_ITEMS: Items = {
    "user": _said_to_messages,
    "assistant": _assistant_to_messages,
    "tool": _result_to_messages,
}
_RESPONSES_ITEMS: Items = {
    "user": _said_to_responses,
    "assistant": _assistant_to_responses,
    "tool": _result_to_responses,
}

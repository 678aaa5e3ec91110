"""Read the parts of a message in any API's format, and count those that cannot be sent unchanged.

Anthropic, OpenAI's chat and Responses, Gemini, Bedrock, Vercel, OpenTelemetry: `kinds` gives the
kind of a part, this module its content.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import orjson

from phasewise_analyzer.chat_messages import placeholders
from phasewise_analyzer.chat_messages.facts import Change, Thinking
from phasewise_analyzer.chat_messages.items import Call, Item, Result, Text
from phasewise_analyzer.chat_messages.kinds import Block, kind_of, squeezed

_CALL_IDS = ("call_id", "toolUseId", "tool_use_id", "toolCallId", "tool_call_id", "id")
_NAMES = ("name", "toolName", "tool_name")
_WORDS = ("text", "refusal", "content", "value")
_ARGUMENTS = ("arguments", "input", "args", "action", "operation")
_RESULTS = ("content", "output", "response", "result")
_SERVED = (*_RESULTS, "results", "outputs", *_ARGUMENTS, "code", "queries")
"""fields in which a provider's own tool says what it did; what it found comes first"""
_FOUND = ("title", "url", "page_age", "filename", "text")
_THOUGHTS = ("thinking", "text", "content", "summary", "reasoningText", "reasoning")


class Blocks:
    """Reads parts and counts what cannot be sent as it is."""

    def __init__(self, thinking: Thinking) -> None:
        self.changes: Counter[Change] = Counter()
        self._thinking = thinking

    def read(self, content: object) -> Iterator[Item]:
        """Return the items of a message's content, whatever it is."""
        if isinstance(content, str):
            yield Text(content)
        elif isinstance(content, list):
            for part in content:
                yield from self.read(part)
        elif isinstance(content, Mapping):
            yield from self._block(content)
        elif content is not None:
            yield Text(_json(content))

    def thought(self, value: object) -> Iterator[Item]:
        """Drop what the model thought, or keep its words."""
        text = words_of(value)
        if self._thinking == "text" and text:
            yield Text(text)
        elif value:
            self.changes["thinking"] += 1

    def call(self, block: Block) -> Call:
        """Read a call of a tool; arguments that are no JSON object become one."""
        given = next((block[name] for name in _ARGUMENTS if block.get(name) is not None), None)
        arguments, was_object = _arguments(given)
        self.changes["arguments"] += not was_object
        name = _first(block, _NAMES) or _type(block).removesuffix("_call")
        return Call(_first(block, _CALL_IDS), name, arguments)

    def result_text(self, given: object) -> str:
        """Return what a tool gave as text: parts read, any other JSON as it is written."""
        if isinstance(given, str):
            return given
        parts = given if isinstance(given, list) else [given]
        if all(isinstance(part, str) or _is_part(part) for part in parts):
            return _joined(self.read(parts))
        return _json(given)

    def _block(self, block: Block) -> Iterator[Item]:
        kind, body = kind_of(block)
        if kind == "text":
            words = next((body[name] for name in _WORDS if body.get(name) is not None), "")
            yield from self.read(words)
        elif kind == "thinking":
            yield from self.thought(body)
        elif kind == "call":
            yield self.call(body)
        elif kind == "result":
            given = next((body[name] for name in _RESULTS if body.get(name) is not None), "")
            text = self.result_text(given)
            yield Result(_first(body, _CALL_IDS), _first(body, _NAMES), text)
        elif kind == "served":
            yield self._served(body)
        elif kind == "data":
            yield from self._data(body, _type(block))
        elif kind == "inner":
            yield from self.read(body.get("content"))
        elif kind == "json":
            yield Text(_json(body.get("json", body.get("value"))))
        elif kind == "unknown":
            yield from self._unknown(body)

    def _served(self, block: Block) -> Text:
        """Write a tool that ran at the provider, and what it found, as text."""
        self.changes["server_tools"] += 1
        name = _first(block, _NAMES) or _type(block)
        found = next((block[key] for key in _SERVED if block.get(key)), None)
        return Text("\n".join(filter(None, [f"[{name}]", self._found(found)])))

    def _found(self, found: object) -> str:
        if isinstance(found, list):
            return "\n".join(filter(None, map(self._found, found)))
        if not isinstance(found, Mapping):
            return "" if found is None else found if isinstance(found, str) else _json(found)
        lines = [str(found[key]) for key in _FOUND if found.get(key)]
        secret = found.get("encrypted_content")
        if isinstance(secret, str) and secret:
            lines.append(self.secret(found, secret))
        if not lines and _is_part(found):
            return _joined(self.read(found))
        return "\n".join(lines) or _json(found)

    def data(self, block: Block, name: str) -> Iterator[Item]:
        """Return text in place of an image, a document or a recording."""
        made = placeholders.for_data(block, squeezed(name))
        is_image = made.noun == "image"
        self.changes["images" if is_image else "documents"] += 1
        self.changes["image_tokens" if is_image else "document_tokens"] += made.tokens
        yield Text(made.text)

    def secret(self, block: Block, encrypted: str) -> str:
        """Return text in place of what only the provider can read."""
        return placeholders.for_secret(block, encrypted)

    def _data(self, block: Block, name: str) -> Iterator[Item]:
        source = block.get("source")
        text = placeholders.text_in(block)
        if text is not None:
            yield Text(text)
        elif isinstance(source, Mapping) and source.get("type") == "content":
            yield from self.read(source.get("content"))
        else:
            yield from self.data(block, name)

    def _unknown(self, block: Block) -> Iterator[Item]:
        words = next((block[name] for name in _WORDS if isinstance(block.get(name), str)), None)
        if words is not None:
            yield from self.read(words)
            return
        if isinstance(block.get("content"), list):
            yield from self.read(block["content"])
            return
        if block:
            self.changes["unknown_parts"] += 1
            secret = block.get("encrypted_content")
            is_secret = isinstance(secret, str)
            yield Text(self.secret(block, str(secret)) if is_secret else _json(dict(block)))


def _is_part(value: object) -> bool:
    return isinstance(value, Mapping) and kind_of(value)[0] not in ("unknown", "inner")


def words_of(thought: object) -> str:
    """Return the words of what a model thought; none where only the provider can read it."""
    if isinstance(thought, str):
        return thought
    if isinstance(thought, list):
        return "\n".join(filter(None, map(words_of, thought)))
    if isinstance(thought, Mapping):
        return "\n".join(filter(None, (words_of(thought.get(name)) for name in _THOUGHTS)))
    return ""


def _arguments(given: object) -> tuple[str, bool]:
    """Return a JSON object as text, and whether it was one already."""
    if isinstance(given, Mapping):
        return _json(given), True
    if given in (None, ""):
        return "{}", True
    value = given
    if isinstance(given, str):
        try:
            value = orjson.loads(given)
        except orjson.JSONDecodeError:
            value = given
        if isinstance(value, Mapping):
            return given, True
    return _json({"input": value}), False


def _joined(items: Iterable[Item]) -> str:
    return "\n".join(item.arguments if isinstance(item, Call) else item.text for item in items)


def _first(block: Block, names: Iterable[str]) -> str | None:
    return next((v for name in names if isinstance(v := block.get(name), str) and v), None)


def _type(block: Block) -> str:
    return str(block.get("type") or next(iter(block), "tool"))


def _json(value: object) -> str:
    return orjson.dumps(value, default=str).decode()

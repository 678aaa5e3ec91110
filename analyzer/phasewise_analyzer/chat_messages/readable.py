"""Write a stored segment as a person reads it: words, tool calls, results, thoughts, in any API.

Pages and `phasewise show` print this; replay sends what `normalise` makes.
"""

from collections.abc import Iterator, Mapping

import orjson
from phasewise_store.facts import Segment

from phasewise_analyzer.chat_messages import entries, placeholders
from phasewise_analyzer.chat_messages.blocks import Blocks, words_of
from phasewise_analyzer.chat_messages.items import Call, Item, Text
from phasewise_analyzer.chat_messages.kinds import Block, squeezed

_NAMES = ("name", "title")
_WORDS = ("description",)


class _Described(Blocks):
    """Says what a part is where its data, or only the provider, could."""

    def thought(self, value: object) -> Iterator[Item]:
        if value:
            yield Text(f"[thinking]\n{words_of(value) or 'only the provider can read it'}")

    def data(self, block: Block, name: str) -> Iterator[Item]:
        made = placeholders.for_data(block, squeezed(name))
        yield Text(f"[{made.noun}, about {made.tokens:,} tokens]")

    def secret(self, block: Block, encrypted: str) -> str:
        del block
        return f"[{len(encrypted):,} characters that only the provider can read]"


def readable(segment: Segment) -> str | None:
    """Return the segment's words; None where only its hash is known."""
    if segment.content is None:
        return None
    if segment.kind == "tool":
        return _definition(segment.content)
    if segment.kind in ("system", "message"):
        items = entries.read(segment, _Described("text")).items
        return "\n\n".join(filter(None, map(_said, items)))
    return segment.content.decode("utf-8", "replace")


def _said(item: Item) -> str:
    if isinstance(item, Text):
        return item.text
    if isinstance(item, Call):
        return f"[calls {item.name}]\n{_indented(item.arguments)}"
    return f"[result of {item.name or item.call_id or 'a tool'}]\n{_indented(item.text)}"


def _definition(raw: bytes) -> str:
    """Write a tool's definition: name, what it does, then the rest as JSON."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")
    inner = found.get("function", found) if isinstance(found, Mapping) else None
    if not isinstance(inner, Mapping):
        return _json(found)
    said = [str(inner[name]) for name in (*_NAMES, *_WORDS) if inner.get(name)]
    rest = {name: value for name, value in inner.items() if name not in (*_NAMES, *_WORDS)}
    return "\n\n".join([*said, *([_json(rest)] if rest else [])])


def _indented(text: str) -> str:
    """Write JSON over several lines, and any other text as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return _json(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()

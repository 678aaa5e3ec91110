"""Read files that are one JSON document; a bad record in it is named by its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from phasewise_collector.importers.fields import BadRecordError
from phasewise_collector.importers.importer import Skipped, Trace
from phasewise_collector.importers.json_text import BadJsonError, Key, Places, parse


def has_keys(head: bytes, opening: bytes, keys: tuple[str, ...]) -> bool:
    """Say whether a document starts with this bracket and shows all these keys in its head.

    The head is cut anywhere, so it is not parsed. A key inside a text has its quotes escaped and
    is not taken for one.
    """
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return begins.startswith(opening) and shows_keys(head, keys)


def shows_keys(head: bytes, keys: tuple[str, ...]) -> bool:
    """Say whether all these keys stand in the head, in whatever objects."""
    return all(re.search(rb'(?<!\\)"%b"\s*:' % re.escape(key.encode()), head) for key in keys)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document that knows where its values stand."""

    root: object
    _places: Places

    def skip(self, reason: str | BadRecordError, *path: Key) -> Skipped:
        """Leave out the value at this path."""
        return Skipped(self._places.line(*path), f"{_spell(path)}: {reason}")


def read_document(trace: Trace) -> Iterator[Document | Skipped]:
    """Give the document; or why there is none."""
    if not trace.data.strip():
        yield Skipped(None, trace.damage or "the file is empty")
        return
    try:
        root = parse(trace.data)
    except BadJsonError as error:
        damage = f" ({trace.damage})" if trace.damage else ""
        yield Skipped(error.line, f"the whole document: {error}{damage}")
        return
    if trace.damage:
        yield Skipped(None, f"{trace.damage}; what follows is lost")
    yield Document(root, Places(trace.data))


def _spell(path: tuple[Key, ...]) -> str:
    """Write a path as one would in a program: `requests[3].in`."""
    spelt = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return f"`{spelt.removeprefix('.')}`" if spelt else "the document"

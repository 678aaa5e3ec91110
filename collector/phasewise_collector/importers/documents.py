"""Read files with one JSON document, or several concatenated ones.

A bad record in a document is reported with its line.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.importer import Skipped, Trace
from phasewise_collector.importers.json_text import BadJsonError, Key, Places, parse, parts


def has_keys(head: bytes, opening: bytes, keys: tuple[str, ...]) -> bool:
    """Return whether a document starts with this bracket and shows all these keys in its head.

    The head is cut anywhere, so it is not parsed. A key inside a text has its quotes escaped and
    is not taken for one.
    """
    return head.lstrip().startswith(opening) and shows_keys(head, keys)


def shows_keys(head: bytes, keys: tuple[str, ...]) -> bool:
    """Return whether all these keys stand in the head, in whatever objects."""
    return all(re.search(rb'(?<!\\)"%b"\s*:' % re.escape(key.encode()), head) for key in keys)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document that knows where its values stand."""

    root: object
    source_id: str
    """SHA-256 of its own bytes: the file's, where it is the only one"""
    _places: Places

    def skip(self, reason: str | BadRecordError, *path: Key) -> Skipped:
        """Leave out the value at this path."""
        return Skipped(self._places.line(*path), f"{_spell(path)}: {reason}")


def read_document(trace: Trace) -> Iterator[Document | Skipped]:
    """Return the document, or each of several; or why there is none."""
    if not trace.data.strip():
        yield Skipped(None, trace.damage or "the file is empty")
        return
    try:
        root = parse(trace.data)
    except BadJsonError as error:
        several = parts(trace.data)
        if len(several) > 1:
            yield from _each(several)
            return
        damage = f" ({trace.damage})" if trace.damage else ""
        yield Skipped(error.line, f"document skipped: {error}{damage}")
        return
    if trace.damage:
        yield Skipped(None, f"{trace.damage}; what follows is lost")
    yield Document(root, trace.source_id, Places(trace.data))


def read_roots(trace: Trace) -> Iterator[tuple[Document, Record] | Skipped]:
    """Return the document, or each of several, that is an object; or why there is none."""
    for part in read_document(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        try:
            yield part, record(part.root, "the document")
        except BadRecordError as error:
            yield part.skip(error)


def _each(several: list[tuple[int, bytes]]) -> Iterator[Document]:
    for line, data in several:
        yield Document(parse(data), hashlib.sha256(data).hexdigest(), Places(data, line))


def _spell(path: tuple[Key, ...]) -> str:
    """Write a path as one would in a program: `requests[3].in`."""
    spelt = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return f"`{spelt.removeprefix('.')}`" if spelt else "the document"

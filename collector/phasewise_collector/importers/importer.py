"""The interface between a file and the store: what an importer gets, and what it returns.

An importer is a module of this package with these names. `detect.py` lists them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from phasewise_store.facts import Batch

from phasewise_collector.otlp.spans import ReceivedSpan


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that could not be used."""

    line: int | None
    """from 1, in the uncompressed file; None where the reason concerns the whole file"""
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a file that a reader of its numbers should know; nothing was lost."""

    text: str


@dataclass(frozen=True, slots=True)
class SpanBatch(Batch):
    """Spans of a file, which mean something only together with those that the store has."""

    received: tuple[ReceivedSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """One file to be read, uncompressed."""

    path: Path
    """as the user gave it"""
    source_id: str
    """SHA-256 of `data`, in hexadecimal"""
    data: bytes
    damage: str | None = None
    """what is wrong with the compression; `data` is then what could be read before it"""


class Importer(Protocol):
    """Reads one format."""

    FORMAT: str
    """what `--format` takes"""
    SOURCE: str
    """what `--source` takes afterwards: the data set"""

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether a file that starts with these uncompressed bytes is of this format."""
        ...

    def read(self, trace: Trace) -> Iterator[Batch | Skipped | Note]:
        """Return the file's facts in its own order, and each record it had to leave out.

        Bad content never raises: it is skipped with a reason.
        """
        ...

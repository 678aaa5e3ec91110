"""Read files with one JSON object per line; a bad line does not stop the import.

Objects over several lines (as `jq .` writes them), and in one array, are read as well.
"""

from collections.abc import Callable, Iterator, Set
from functools import lru_cache

from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.importer import Skipped, Trace
from phasewise_collector.importers.json_text import BadJsonError, by_line, documents


def any_line_has(head: bytes, keys: Set[str]) -> bool:
    """Return whether a line of the head is an object with at least these keys.

    Any line, not the first: a file whose first line is damaged is still of its format.
    """
    return any(keys <= found for found in _keys(head))


@lru_cache(maxsize=1)
def _keys(head: bytes) -> tuple[frozenset[str], ...]:
    """Return the keys of each object in a head, which every importer is asked about."""
    objects = _values(head, begins=b"{")
    return tuple(frozenset(value) for _, value in objects if isinstance(value, dict))


def read_lines(trace: Trace, take: Callable[[Record], None]) -> Iterator[Skipped]:
    """Hand every line's object to `take`, and give the lines that are not usable; blank ones pass.

    `take` raises BadRecordError for a line it cannot use.
    """
    for part in records(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        number, fields = part
        try:
            take(fields)
        except BadRecordError as error:
            yield Skipped(number, str(error))


def records(trace: Trace) -> Iterator[tuple[int, Record] | Skipped]:
    """Return every line's number and object, and the lines that are no object; blank ones pass."""
    number = 0
    for number, value in _values(trace.data):
        try:
            if isinstance(value, BadJsonError):
                raise value
            yield number, record(value, "the line")
        except (BadJsonError, BadRecordError) as error:
            yield Skipped(number, str(error))
    if trace.damage is not None:
        yield Skipped(number, f"{trace.damage}; what follows is lost")
    if not trace.data.strip():
        yield Skipped(None, "the file is empty")


def _values(data: bytes, *, begins: bytes = b"") -> Iterator[tuple[int, object]]:
    """Return the number and the value, or the error, of each line that begins like this."""
    spread = documents(data)
    yield from by_line(data, begins=begins) if spread is None else spread

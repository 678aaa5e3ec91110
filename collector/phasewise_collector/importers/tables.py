"""Read tables: CSV with named columns and any delimiter; a bad row does not stop the import."""

import csv
import io
from collections.abc import Iterator
from functools import lru_cache

from phasewise_collector.importers.fields import BadRecordError
from phasewise_collector.importers.importer import Skipped, Trace

Row = dict[str, str]

_SEPARATORS = (",", ";", "\t")
csv.field_size_limit(1 << 30)  # characters of a cell: prompts are long


@lru_cache(maxsize=1)
def columns(head: bytes) -> frozenset[str]:
    """Return the names of a table's columns; none where the text begins with no such line."""
    line = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    if line.startswith(("{", "[")):
        return frozenset()
    try:
        names = next(csv.reader([line], delimiter=_separator(line)), [])
    except csv.Error:  # bytes that are no text
        return frozenset()
    return frozenset(name.strip() for name in names)


def read_table(trace: Trace) -> Iterator[tuple[int, Row] | Skipped]:
    """Return every row as `rows` does, without the blanks around its cells."""
    for part in rows(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        line, row = part
        yield line, {name: cell.strip() for name, cell in row.items()}


def rows(trace: Trace) -> Iterator[tuple[int, Row] | Skipped]:
    """Return every row by its columns' names, with its line; and the rows of another length."""
    text = trace.data.decode("utf-8", "replace").replace("\0", "")
    separator = _separator(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [name.strip() for name in next(reader, [])]
    try:
        for row in reader:
            if row and len(row) != len(names):
                yield Skipped(reader.line_num, f"{len(row)} columns, not {len(names)}")
            elif row:
                yield reader.line_num, dict(zip(names, row, strict=True))
    except csv.Error as error:
        yield Skipped(reader.line_num, f"not a table row: {error}")
    if trace.damage is not None:
        yield Skipped(None, f"{trace.damage}; what follows is lost")


def number(row: Row, column: str) -> float:
    """Take a number from zero up; an empty or a missing cell is zero."""
    cell = row.get(column) or "0"
    try:
        value = float(cell)
    except ValueError:
        raise BadRecordError(f"`{column}` is {cell[:40]!r}, not a number") from None
    if not 0 <= value < float("inf"):
        raise BadRecordError(f"`{column}` is {cell[:40]}")
    return value


def whole(row: Row, column: str) -> int:
    """Take a whole number from zero up; an empty or a missing cell is zero."""
    value = number(row, column)
    if value != int(value):
        raise BadRecordError(f"`{column}` is {value}, not a whole number")
    return int(value)


def _separator(line: str) -> str:
    return max(_SEPARATORS, key=line.count)

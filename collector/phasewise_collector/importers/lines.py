"""Read files of one JSON object a line; a line that cannot be used stops nothing."""

from collections.abc import Callable, Iterator, Set

from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.importer import Skipped, Trace
from phasewise_collector.importers.json_text import BadJsonError, parse

_BOM = b"\xef\xbb\xbf"


def any_line_has(head: bytes, keys: Set[str]) -> bool:
    """Say whether a line of the head is an object with at least these keys.

    Any line, not the first: a file whose first line is damaged is still of its format.
    """
    for line in head.removeprefix(_BOM).split(b"\n"):
        try:
            value = parse(line) if line.lstrip().startswith(b"{") else None
        except BadJsonError:
            continue
        if isinstance(value, dict) and keys <= value.keys():
            return True
    return False


def read_lines(trace: Trace, take: Callable[[Record], None]) -> Iterator[Skipped]:
    """Hand every line's object to `take`, and give the lines that are not usable; blank ones pass.

    `take` raises BadRecordError for a line it cannot use.
    """
    number = 0
    for number, line in enumerate(trace.data.removeprefix(_BOM).split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            take(record(parse(line), "the line"))
        except (BadJsonError, BadRecordError) as error:
            yield Skipped(number, str(error))
    if trace.damage is not None:
        yield Skipped(number, f"{trace.damage}; what follows is lost")
    if not trace.data.strip():
        yield Skipped(None, "the file is empty")

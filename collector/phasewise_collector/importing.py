"""Import trace files: find them, recognise each, write its facts, and account for every line.

A file is written in one transaction, so an interrupted import keeps whole files. A source is known
by the hash of its bytes: the same file twice adds nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phasewise_store.errors import UnknownFormatError, UsageError
from phasewise_store.facts import Batch
from phasewise_store.store import Store

from phasewise_collector.importers import detect, trace_file
from phasewise_collector.importers.importer import Importer, Note, Skipped

Step = Callable[[int, int, str], None]
"""how many of how many files are done, and which is read now"""

UNKNOWN = "no known format; it was not read"


@dataclass(frozen=True, slots=True)
class Left:
    """A record, or a whole file (`line` is None), that could not be used."""

    file: str
    line: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a file that a reader of its numbers should know."""

    file: str
    text: str


@dataclass(slots=True)
class Imported:
    """What an import read; counts are of what is new in the store."""

    files: int = 0
    already_there: int = 0
    """files whose bytes were imported before"""
    sessions: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    skipped: list[Left] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)

    @property
    def read_nothing(self) -> bool:
        """Whether no call and no record came of it, neither now nor before."""
        return not (self.already_there or self.sessions or self.llm_calls or self.tool_calls)


def import_paths(
    store: Store, paths: Sequence[Path], *, format_name: str | None = None, step: Step | None = None
) -> Imported:
    """Import files, and what folders hold.

    Raises UsageError for a path that is not there, and UnknownFormatError for a file that was named
    and that no importer recognises; then nothing at all is written. Files of a folder that no
    importer recognises are listed as skipped.
    """
    forced = None if format_name is None else detect.named(format_name)
    chosen: list[tuple[Path, Importer]] = []
    done = Imported()
    for path, was_named in _files(paths):
        importer = forced or detect.recognised(trace_file.head(path), path)
        if importer is not None:
            chosen.append((path, importer))
        elif was_named:
            known = ", ".join(detect.IMPORTERS)
            raise UnknownFormatError(
                f"`{path}` is of no known format; nothing was imported. Known are {known}; "
                "name one with --format if you know better"
            )
        else:
            done.skipped.append(Left(str(path), None, UNKNOWN))
    for number, (path, importer) in enumerate(chosen):
        if step is not None:
            step(number, len(chosen), path.name)
        _import_file(store, path, importer, done)
    if step is not None:
        step(len(chosen), len(chosen), "")
    return done


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Give the files, and whether each was named itself."""
    for path in paths:
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.is_file())
            yield from ((one, False) for one in found if not one.name.startswith("."))
        elif path.exists():
            yield path, True
        else:
            raise UsageError(f"there is no file or folder `{path}`; nothing was imported")


def _import_file(store: Store, path: Path, importer: Importer, done: Imported) -> None:
    trace = trace_file.load(path)
    if store.has_source(trace.source_id):
        done.already_there += 1
        return
    skipped: list[Left] = []
    notes: list[Remark] = []
    sessions = calls = tools = 0
    with store.transaction():
        for part in importer.read(trace):
            match part:
                case Batch():
                    written = store.write(part)
                    sessions += written.sessions
                    calls += written.llm_calls
                    tools += written.tool_calls
                case Skipped(line, reason):
                    skipped.append(Left(str(path), line, reason))
                case Note(text):
                    notes.append(Remark(str(path), text))
    done.files += 1
    done.sessions += sessions
    done.llm_calls += calls
    done.tool_calls += tools
    done.skipped += skipped
    done.notes += notes

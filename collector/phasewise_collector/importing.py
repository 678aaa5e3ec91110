"""Import trace files: find them, recognise each, write its facts, and account for every line.

A file is written in one transaction, so an interrupted import keeps complete files only. Importing
again synchronises: an unchanged file is not read, a copy of another file adds nothing, and from a
file that has grown only the calls that are not stored yet are added.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store import imported_files
from phasewise_store.errors import UnknownFormatError, UsageError
from phasewise_store.facts import Batch, Source, Written
from phasewise_store.imported_files import Stamp
from phasewise_store.statements import count
from phasewise_store.store import Store

from phasewise_collector import ingest
from phasewise_collector.importers import detect, sidecar, trace_file
from phasewise_collector.importers.importer import Importer, Note, Skipped, SpanBatch, Trace
from phasewise_collector.otlp.spans import ReceivedSpan

Step = Callable[[int, int, str], None]
"""how many of how many files are done, and which is read now"""

UNKNOWN = "no known format"


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
    grown_sessions: int = 0
    """there before, with calls that are new"""
    llm_calls: int = 0
    known_calls: int = 0
    """of the files that were read: there before"""
    completed_calls: int = 0
    """of the known ones: those of which a file knew more"""
    tool_calls: int = 0
    skipped: list[Left] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)

    @property
    def read_nothing(self) -> bool:
        """Whether no call and no record came of it, neither now nor before."""
        known = self.already_there or self.known_calls
        return not (known or self.sessions or self.llm_calls or self.tool_calls)


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
    imported = imported_files.load(store)
    for path, was_named in _files(paths):
        if sidecar.is_one(path):
            continue  # read with the file that it describes
        if imported.get(str(path.resolve())) == _stamp(path):
            done.already_there += 1
            continue
        importer = forced or detect.recognised(trace_file.head(path), path)
        if importer is not None:
            chosen.append((path, importer))
        elif was_named:
            known = ", ".join(detect.IMPORTERS)
            raise UnknownFormatError(
                f"`{path}` is in no known format; nothing was imported.  To choose a format, use "
                f"--format with one of {known}"
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
    """Yield the files, and whether each was named explicitly."""
    for path in paths:
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.is_file())
            yield from ((one, False) for one in found if not one.name.startswith("."))
        elif path.exists():
            yield path, True
        else:
            raise UsageError(f"no file or folder `{path}`; nothing was imported")


def _stamp(path: Path) -> Stamp:
    files = [found.stat() for found in (path, sidecar.beside(path)) if found is not None]
    return Stamp(sum(one.st_size for one in files), max(one.st_mtime_ns for one in files))


def _loaded(path: Path) -> Trace:
    """Read a file; what describes it beside it is a part of what its source is known by."""
    trace = trace_file.load(path)
    about = sidecar.beside(path)
    if about is None:
        return trace
    both = hashlib.sha256(bytes.fromhex(trace.source_id) + about.read_bytes())
    return replace(trace, source_id=both.hexdigest())


def _ingest(store: Store, received: Sequence[ReceivedSpan], source: Source) -> Written:
    """Write spans; a span that the store has, with as much in it, adds nothing."""
    sessions = "SELECT count(*) FROM sessions"
    with store.transaction() as connection:
        before = count(connection, sessions)
        prepared = ingest.prepare(store, received)
        written = ingest.write(store, connection, prepared, source)
        return replace(written, sessions=max(0, count(connection, sessions) - before))


def _import_file(store: Store, path: Path, importer: Importer, done: Imported) -> None:
    stamp = _stamp(path)  # before it is read: what is written meanwhile is read the next time
    trace = _loaded(path)
    skipped: list[Left] = []
    notes: list[Remark] = []
    written: list[Written] = []
    is_there = store.has_source(trace.source_id)
    with store.transaction() as connection:
        for part in () if is_there else importer.read(trace):
            match part:
                case SpanBatch(source=source, received=received):
                    written.append(_ingest(store, received, source))
                case Batch():
                    written.append(store.write(part))
                case Skipped(line, reason):
                    skipped.append(Left(str(path), line, reason))
                case Note(text):
                    notes.append(Remark(str(path), text))
        imported_files.remember(connection, str(path.resolve()), stamp, source_id=trace.source_id)
    if is_there:
        done.already_there += 1
        return
    done.files += 1
    for one in written:
        done.sessions += one.sessions
        done.grown_sessions += one.grown_sessions
        done.llm_calls += one.llm_calls
        done.known_calls += one.known_calls
        done.completed_calls += one.completed_calls
        done.tool_calls += one.tool_calls
    done.skipped += skipped
    done.notes += notes

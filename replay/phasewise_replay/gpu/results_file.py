"""The results of a pack's run: JSON lines, appended while it runs, so that a kill loses one block.

Each line is a record with a `kind`: format, machine, smoke, run, arm, calls, note, end. A block
counts once the `arm` record that lists it is there; calls of a block that was cut are left out on
import.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from phasewise_store.errors import UsageError
from phasewise_store.run_facts import Arm, MeasuredCall, Run

FORMAT = "phasewise-gpu-results-1"


class FileRecording:
    """Appends records; a `Recording` for the runs of all stages."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            raise UsageError(
                f"`{path}` exists already; name a new file, so that no results are mixed"
            ) from None
        except OSError as error:
            raise UsageError(f"cannot write `{path}`: {error.strerror}") from None
        self.add("format", {"format": FORMAT})

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def add(self, kind: str, fields: Mapping[str, object]) -> None:
        """Append a record, and wait until it is on disk."""
        self._append(kind, fields)
        os.fsync(self._file)

    def add_run(self, run: Run) -> None:
        """Append a run."""
        self.add("run", asdict(run))

    def put_arm(self, arm: Arm) -> None:
        """Append an arm as it is now; the last record of an arm counts."""
        self.add("arm", asdict(arm))

    def add_calls(self, calls: Sequence[MeasuredCall]) -> None:
        """Append measured calls; the last record of a call counts."""
        if calls:
            self._append("calls", {"calls": [asdict(call) for call in calls]})

    def _append(self, kind: str, fields: Mapping[str, object]) -> None:
        # the line end comes first: a record that a signal cut short does not swallow the next one
        os.write(self._file, b"\n" + orjson.dumps({"kind": kind, **fields}, default=str))


def read(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the records; one that was cut short is skipped.  Raises UsageError."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the results `{path}`: {error.strerror}") from None
    records = [record for line in lines if (record := _record(line)) is not None]
    if not records or records[0].get("format") != FORMAT:
        raise UsageError(f"`{path}` has no results of  phasewise gpu run")
    yield from records


def _record(line: bytes) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None

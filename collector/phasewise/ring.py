"""The ring buffer on disk: batches of spans wait here until the collector has acknowledged them.

One file per batch, in one folder per endpoint: written, synced and renamed; removed once it is
acknowledged. Several programs share the ring, and one of them sends at a time. Above the size limit
the oldest batches are dropped and counted. `phasewise up` also empties the ring of its own address.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".otlp"
_SENDING = "sending.lock"
_DROPPED = "dropped.json"
_ENDPOINT = "endpoint"
_SUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class Waiting:
    """A batch in the ring."""

    path: Path
    spans: int

    def body(self) -> bytes | None:
        """Return the request; None where the file is damaged, or gone."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        body = data[_SUM_BYTES:]
        good = data[:_SUM_BYTES] == zlib.crc32(body).to_bytes(_SUM_BYTES, "big")
        return body if good else None


class Ring:
    """The batches that wait for one endpoint."""

    def __init__(self, root: Path, endpoint: str, limit_bytes: int) -> None:
        name = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
        self.folder = root / name
        self.endpoint = endpoint
        self._limit_bytes = limit_bytes
        self._number = 0
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker = self.folder / _ENDPOINT
        if not marker.exists():
            marker.write_text(endpoint)

    def put(self, body: bytes, spans: int) -> None:
        """Write a batch so that it survives this process; raises OSError where that fails."""
        self._number += 1
        name = f"{time.time_ns():020d}-{os.getpid()}-{self._number}-{spans}{SUFFIX}"
        unfinished = self.folder / f"{name}.part"
        try:
            with unfinished.open("wb") as file:
                file.write(zlib.crc32(body).to_bytes(_SUM_BYTES, "big"))
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.folder / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._make_room()

    def waiting(self) -> list[Waiting]:
        """Return the batches, the oldest first."""
        with contextlib.suppress(OSError):
            names = sorted(entry.name for entry in os.scandir(self.folder))
            return [
                Waiting(self.folder / name, _spans(name)) for name in names if name.endswith(SUFFIX)
            ]
        return []

    def remove(self, batch: Waiting) -> None:
        """Take a batch out: it is acknowledged, or can never be."""
        batch.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def sending(self) -> Iterator[bool]:
        """Return whether this process may send now; another one may be at it."""
        with (self.folder / _SENDING).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def dropped_spans(self) -> int:
        """Return how many spans were ever lost here: the ring was full, or a file was damaged."""
        try:
            found = json.loads((self.folder / _DROPPED).read_text())
        except (OSError, ValueError):
            return 0
        return int(found.get("spans", 0)) if isinstance(found, dict) else 0

    def count_dropped(self, spans: int) -> None:
        """Add to the losses."""
        with contextlib.suppress(OSError), (self.folder / "dropped.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            total = self.dropped_spans() + spans
            unfinished = self.folder / f"{_DROPPED}.part"
            unfinished.write_text(json.dumps({"spans": total}))
            unfinished.rename(self.folder / _DROPPED)

    def _make_room(self) -> None:
        batches = self.waiting()
        sizes = []
        for batch in batches:
            try:
                sizes.append(batch.path.stat().st_size)
            except OSError:
                sizes.append(0)  # sent meanwhile
        over = sum(sizes) - self._limit_bytes
        for batch, size in zip(batches, sizes, strict=True):
            if over <= 0:
                return
            self.remove(batch)
            self.count_dropped(batch.spans)
            over -= size


def rings(root: Path, limit_bytes: int) -> Iterator[Ring]:
    """Return the rings of all endpoints under a folder."""
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        with contextlib.suppress(OSError):
            yield Ring(root, (folder / _ENDPOINT).read_text(), limit_bytes)


def _spans(name: str) -> int:
    number = name.removesuffix(SUFFIX).rpartition("-")[2]
    return int(number) if number.isdecimal() else 0

"""Append requests to the log; requests that wait at the same time share one fdatasync."""

import asyncio
import contextlib
import errno
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from phasewise_collector.log.frame import Frame, pack

SEGMENT_BYTES = 64 << 20
SUFFIX = ".log"
_FRAMES_A_WRITE = 256  # two buffers a frame; Linux takes 1,024 buffers at once


class LogWriter:
    """The only writer of a log folder; asynchronous, used from one event loop.

    Raises OSError where the folder cannot be made or written.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._size = 0
        self._sequence = 0
        self._waiting: list[tuple[Frame, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def append(
        self,
        signal: str,
        form: str,
        encoding: str,
        body: bytes,
        *,
        accepted: int = 0,
        rejected: int = 0,
        plain_bytes: int = 0,
    ) -> None:
        """Put a request into the log; returns when it is on disk, raises OSError when it is not."""
        frame = Frame(
            signal=signal,
            form=form,
            encoding=encoding,
            sequence=self._sequence,
            received_ns=time.time_ns(),
            body=body,
            accepted=accepted,
            rejected=rejected,
            plain_bytes=plain_bytes or len(body),
        )
        self._sequence += 1
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((frame, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await done

    async def close(self) -> None:
        """Finish what waits and close the segment."""
        if self._flusher is not None:
            await self._flusher
        self._close_segment()

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._write, [frame for frame, _ in group])
            except OSError as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)

    def _write(self, frames: Sequence[Frame]) -> None:
        """Write the frames and sync; after a failure the next group begins a new segment."""
        if self._file is None or self._size >= self._segment_bytes:
            self._close_segment()
            self._open_segment()
        assert self._file is not None
        size = self._size
        try:
            for start in range(0, len(frames), _FRAMES_A_WRITE):
                parts: list[bytes] = []
                for frame in frames[start : start + _FRAMES_A_WRITE]:
                    parts.extend(pack(frame))
                size += sum(map(len, parts))
                _write_all(self._file, parts)
            os.fdatasync(self._file)
        except OSError:
            # nothing of the group was acknowledged; give its room back if that works, and never
            # write at these offsets again: the loader may have read them
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            self._close_segment()
            raise
        self._size = size

    def _open_segment(self) -> None:
        # unique for ever, also when the folder was emptied: progress is kept by segment name
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._folder / name, flags, 0o600)
        self._size = 0
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _close_segment(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _write_all(file: int, parts: list[bytes]) -> None:
    """Write the buffers in order, however little the kernel takes at once."""
    while parts:
        written = os.writev(file, parts)
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if written:
            parts[0] = parts[0][written:]

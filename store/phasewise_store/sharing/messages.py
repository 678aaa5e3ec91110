"""The messages between owner and client, and the socket that carries them.

The socket is next to the database file and readable only by its user. Messages are pickled by
`multiprocessing.connection`: both ends are the same program, run by the same user, which the
kernel confirms (SO_PEERCRED).
"""

import hashlib
import importlib.metadata
import os
import socket
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from phasewise_store.arrow import ArrowTable
from phasewise_store.schema import MIGRATIONS

LONGEST_ADDRESS = 100
"""characters; the kernel takes 107"""

Parameters = Mapping[str, object] | Sequence[object] | None


@dataclass(frozen=True, slots=True)
class Hello:
    """Which program speaks: two of them understand each other when these are equal."""

    version: str = field(default_factory=lambda: importlib.metadata.version("phasewise"))
    schema: int = len(MIGRATIONS)

    def __str__(self) -> str:
        """Return the version, with the schema's, in which builds of one version may differ."""
        return f"{self.version} (schema {self.schema})"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement to run, with the frames it names."""

    text: str
    parameters: Parameters = None
    tables: Mapping[str, ArrowTable] = field(default_factory=dict)
    as_frame: bool = False
    """whether the result comes as a polars frame, else as a list of rows"""


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """A person's own query: it may not write, and ends after so many seconds."""

    text: str
    limit_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong at the owner's."""

    kind: str
    """name of the exception's class"""
    text: str


def address_beside(path: Path) -> str:
    """Return where the owner of a database listens: beside it, or where paths are short."""
    beside = f"{path.resolve()}.sock"
    if len(beside.encode()) <= LONGEST_ADDRESS:
        return beside
    digest = hashlib.blake2b(beside.encode(), digest_size=12).hexdigest()
    return str(Path(tempfile.gettempdir()) / f"phasewise-{os.getuid()}-{digest}.sock")


def listening(address: str) -> socket.socket:
    """Open the owner's socket; one that a dead owner left is replaced."""
    Path(address).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def accepted(listener: socket.socket) -> Connection | None:
    """Return the next client; None where another user's process came."""
    client, _ = listener.accept()
    if _user_of(client) not in (os.getuid(), 0):
        client.close()
        return None
    return Connection(client.detach())


def connected(address: str) -> Connection:
    """Connect to an owner; raises OSError where there is none."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(address)
    except OSError:
        client.close()
        raise
    return Connection(client.detach())


def _user_of(client: socket.socket) -> int:
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()  # the folder's and the socket's permissions decide
    packed = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", packed)
    return int(user)

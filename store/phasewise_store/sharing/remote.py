"""The client's side: a connection whose statements run in another process.

It has the methods of a DuckDB connection that the store uses. Each thread has its own socket, so a
read never waits for another thread's transaction.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import duckdb
import polars as pl

from phasewise_store import errors
from phasewise_store.arrow import ArrowTable
from phasewise_store.errors import PhasewiseError, StoreError, StoreLockedError
from phasewise_store.sharing import messages
from phasewise_store.sharing.door import BEGIN, COMMIT, ROLLBACK
from phasewise_store.sharing.messages import Failure, Hello, Parameters, ReadOnly, Statement
from phasewise_store.sharing.queries import Answer
from phasewise_store.statements import BEGIN_SNAPSHOT, END_SNAPSHOT

RETURN_S = 20.0
"""an owner that ended is back by then where a supervisor keeps it running"""
_POLL_S = 0.1


class Result:
    """What a statement gave."""

    def __init__(self, found: object) -> None:
        self._found = found

    def fetchall(self) -> list[tuple[object, ...]]:
        """Return the rows."""
        return cast("list[tuple[object, ...]]", self._found)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the frame, as DuckDB's relations do."""
        return cast("pl.DataFrame", self._found).__arrow_c_stream__(requested_schema)


class Link:
    """The sockets to one owner: each thread has its own."""

    def __init__(self, path: Path, address: str) -> None:
        self._path = path
        self._address = address
        self._own = threading.local()
        self._sockets: list[Connection] = []
        self._writer: int | None = None
        self._socket()  # an owner of another version is refused now

    def ask(self, request: object) -> object:
        """Have the owner do something; its errors are raised here.

        An owner that ended is waited for, since its supervisor starts another one; a transaction
        is lost with it, and the error says so.
        """
        try:
            answer = self._exchange(request)
        except (EOFError, OSError):
            if self._writer == threading.get_ident() or self._has_snapshot():
                raise StoreError(
                    f"the process that owns `{self._path}` ended during this command; what was "
                    "committed before is kept.  Run the command again"
                ) from None
            self._reconnect()
            answer = self._exchange(request)
        if isinstance(answer, Failure):
            raise _error(answer)
        if isinstance(request, Statement):
            self._remember(request.text)
        return answer

    def close(self) -> None:
        """Hang up; what is not committed is rolled back."""
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    def _has_snapshot(self) -> bool:
        return bool(getattr(self._own, "snapshot", False))

    def _remember(self, statement: str) -> None:
        if statement == BEGIN:
            self._writer = threading.get_ident()
        elif statement in (COMMIT, ROLLBACK):
            self._writer = None
        elif statement in (BEGIN_SNAPSHOT, END_SNAPSHOT):
            self._own.snapshot = statement == BEGIN_SNAPSHOT

    def _exchange(self, request: object) -> object:
        one = self._socket()
        try:
            one.send(request)
            # Ctrl-C ends a poll and not a read: polars puts a handler before Python's that has the
            # kernel go on with the read
            one.poll(None)
            return one.recv()
        except BaseException:
            one.close()  # what it would say next answers this request
            raise

    def _socket(self) -> Connection:
        found: Connection | None = getattr(self._own, "socket", None)
        if found is None or found.closed:
            found = _introduced(self._path, self._address)
            self._own.socket = found
            self._sockets = [one for one in self._sockets if not one.closed] + [found]
        return found

    def _reconnect(self) -> None:
        until = time.monotonic() + RETURN_S
        while True:
            try:
                self._socket()
            except OSError:
                if time.monotonic() > until:
                    raise StoreError(
                        f"the process that owned `{self._path}` ended.  Run the command again"
                    ) from None
                time.sleep(_POLL_S)
            else:
                return


class RemoteConnection:
    """Stands where a DuckDB connection stands, for what the store uses of one."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._tables: dict[str, ArrowTable] = {}

    def execute(self, statement: str, parameters: Parameters = None) -> Result:
        """Run a statement; its rows come at once."""
        return Result(self._link.ask(Statement(statement, parameters, dict(self._tables))))

    def sql(self, query: str, *, params: Parameters = None) -> Result:
        """Run a query; its frame comes at once."""
        request = Statement(query, params, dict(self._tables), as_frame=True)
        return Result(self._link.ask(request))

    def register(self, name: str, table: ArrowTable) -> None:
        """Send a frame along with the statements that follow."""
        self._tables[name] = table

    def unregister(self, name: str) -> None:
        """Send it no more."""
        self._tables.pop(name, None)

    @contextmanager
    def cursor(self) -> Iterator["RemoteConnection"]:
        """Return a connection with frames of its own."""
        yield RemoteConnection(self._link)


class RemoteDatabase:
    """Stands where an open database file stands."""

    def __init__(self, path: Path, address: str) -> None:
        self._link = Link(path, address)
        self._connection = RemoteConnection(self._link)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, as the store uses it."""
        return cast("duckdb.DuckDBPyConnection", self._connection)

    def read_only(self, query: str, limit_s: float) -> Answer:
        """Run a person's own query."""
        return cast("Answer", self._link.ask(ReadOnly(query, limit_s)))

    def close(self) -> None:
        """Hang up."""
        self._link.close()


def _introduced(path: Path, address: str) -> Connection:
    """Connect, and make sure that both are the same program."""
    made = messages.connected(address)
    try:
        made.send(Hello())
        owner = made.recv()
    except (EOFError, OSError):
        made.close()
        raise ConnectionResetError from None
    if owner != Hello():
        made.close()
        raise StoreLockedError(
            f"`{path}` is in use by Phasewise {owner}, but this is {Hello()}: "
            "stop that process, or use the same version"
        )
    return made


def _error(failure: Failure) -> Exception:
    """Return the owner's error as if it had happened here."""
    for module in (errors, duckdb):
        kind = getattr(module, failure.kind, None)
        if isinstance(kind, type) and issubclass(kind, PhasewiseError | duckdb.Error):
            return kind(failure.text)
    return StoreError(f"{failure.kind}: {failure.text}")

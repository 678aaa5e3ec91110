"""The owner's side: runs the statements of other processes, one thread per client.

Each read has its own cursor and never waits for a writer. A client's transaction holds the store's
one write lock, and is rolled back when the client disconnects. A query is interrupted when its
client disconnects.
"""

import contextlib
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import duckdb

from phasewise_store.arrow import to_frame
from phasewise_store.errors import PhasewiseError
from phasewise_store.sharing import messages
from phasewise_store.sharing.messages import Failure, Hello, ReadOnly, Statement
from phasewise_store.sharing.queries import Answer, read_only
from phasewise_store.statements import BEGIN_SNAPSHOT, END_SNAPSHOT

BEGIN, COMMIT, ROLLBACK = "BEGIN", "COMMIT", "ROLLBACK"
_log = logging.getLogger(__name__)


class Shared(Protocol):
    """What a store lets its clients do."""

    def reading(self) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Give a cursor; in the thread that holds a transaction, that transaction's connection."""
        ...

    def transaction(self) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Hold the only write transaction."""
        ...

    def snapshot(self) -> contextlib.AbstractContextManager[None]:
        """Let this thread's reads see one moment."""
        ...


class Door:
    """Listens for other processes until it is closed."""

    def __init__(self, store: Shared, address: str) -> None:
        self._store = store
        self._address = address
        self._listener = messages.listening(address)
        self._clients: set[Connection] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False
        threading.Thread(target=self._accept, name="door", daemon=True).start()

    def close(self) -> None:
        """Let no one in any more, and end what is under way: transactions are rolled back."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        Path(self._address).unlink(missing_ok=True)
        for client in list(self._clients):
            _hang_up(client)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client = messages.accepted(self._listener)
            except OSError:
                return  # closed
            if client is None:
                continue
            self._clients.add(client)
            thread = threading.Thread(target=self._attend, args=(client,), name="client")
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _attend(self, client: Connection) -> None:
        """Do what one client asks, until it goes away."""
        try:
            with client:
                said = client.recv()
                client.send(Hello())
                if said == Hello():
                    _Visit(self._store, client).last()
        except (EOFError, OSError):
            pass  # it went away, as a killed process does
        except Exception:
            _log.exception("a request of another command failed")
        finally:
            self._clients.discard(client)


class _Visit:
    """One client's statements, in order; it may hold a transaction between them."""

    def __init__(self, store: Shared, client: Connection) -> None:
        self._store = store
        self._client = client
        self._held: ExitStack | None = None
        self._snapshot = ExitStack()
        self._turn = {
            BEGIN: self._begin,
            COMMIT: self._commit,
            ROLLBACK: self._roll_back,
            BEGIN_SNAPSHOT: self._begin_snapshot,
            END_SNAPSHOT: self._snapshot.close,
        }

    def last(self) -> None:
        """Answer until the client goes away; then roll back what it has not committed."""
        try:
            while True:
                self._client.send(self._answer(self._client.recv()))
        finally:
            self._roll_back()
            self._snapshot.close()

    def _answer(self, request: object) -> object:
        try:
            match request:
                case Statement(text=text) if text in self._turn:
                    self._turn[text]()
                    return []
                case Statement():
                    return self._run(request)
                case ReadOnly(text, limit_s):
                    return self._read_only(text, limit_s)
        except (duckdb.Error, PhasewiseError) as error:
            return Failure(type(error).__name__, str(error))
        return Failure("StoreError", f"unknown request: {type(request).__name__}")

    def _begin(self) -> None:
        self._held = ExitStack()
        self._held.enter_context(self._store.transaction())

    def _begin_snapshot(self) -> None:
        self._snapshot.enter_context(self._store.snapshot())

    def _commit(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _run(self, request: Statement) -> object:
        with self._store.reading() as cursor, _ended_with(self._client, cursor.interrupt):
            for name, table in request.tables.items():
                cursor.register(name, table)
            try:
                if request.as_frame:
                    return to_frame(cursor.sql(request.text, params=request.parameters))
                return cursor.execute(request.text, request.parameters).fetchall()
            finally:
                for name in request.tables:
                    cursor.unregister(name)

    def _read_only(self, text: str, limit_s: float) -> Answer:
        with self._store.reading() as cursor, _ended_with(self._client, cursor.interrupt):
            return read_only(cursor, text, limit_s)

    def _roll_back(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            gone = _GoneError()
            with contextlib.suppress(_GoneError):
                held.__exit__(_GoneError, gone, None)


class _GoneError(Exception):
    """Ends a transaction that is not to be committed."""


@contextmanager
def _ended_with(client: Connection, interrupt: Callable[[], None]) -> Iterator[None]:
    """Interrupt the block's query when the client hangs up.

    A client waits for its answer before it speaks again, so that anything to be read is its end.
    """
    done, wake = socket.socketpair()

    def watch() -> None:
        ready, _, _ = select.select([client.fileno(), done.fileno()], [], [])
        if done.fileno() not in ready:
            interrupt()

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        wake.close()
        watcher.join()
        done.close()


def _hang_up(client: Connection) -> None:
    """Wake the thread that waits for this client; it closes the connection."""
    with contextlib.suppress(OSError), socket.socket(fileno=client.fileno()) as borrowed:
        try:
            borrowed.shutdown(socket.SHUT_RDWR)
        finally:
            borrowed.detach()

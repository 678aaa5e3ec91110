"""Several processes on one database: the owner runs the statements of the others."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import polars as pl
import pytest
from phasewise_store import reads, stored_traces
from phasewise_store.errors import StoreError, StoreLockedError, UsageError
from phasewise_store.sharing import messages
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session

OWNER = """
import sys
from pathlib import Path
from phasewise_store.store import Store
with Store.own(Path(sys.argv[1])) as store:
    if sys.argv[2] == "shares":
        store.work_for_others()
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def owned(path: Path, how: str = "shares") -> Iterator["subprocess.Popen[bytes]"]:
    """Have another process own the database for the length of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database."""
    return tmp_path / "x.duckdb"


def test_a_client_reads_and_writes_through_the_owner(path: Path) -> None:
    """What goes through another process is what goes through the file itself."""
    batch = growing_session(4)
    with Store.in_memory() as here, owned(path), Store.open(path) as there:
        assert not here.is_shared
        assert there.is_shared
        assert there.write(batch) == here.write(batch)
        here.rewrite(growing_session(5))
        there.rewrite(growing_session(5))
        assert reads.llm_calls(there).drop("ordinal").equals(reads.llm_calls(here).drop("ordinal"))
        assert reads.prompt(there, "s1-3") == reads.prompt(here, "s1-3")
        alike = [stored_traces.Likeness(10, 3, 0, 1)]
        assert stored_traces.related(there, (), alike, 1) == set()


def test_two_clients_and_the_owner_s_successor_see_one_database(path: Path) -> None:
    """What one client commits, another reads, and a later owner has."""
    with owned(path), Store.open(path) as one, Store.open(path) as other:
        one.write(growing_session(2, "a"))
        other.write(growing_session(3, "b"))
        assert reads.llm_calls(one).height == 5
    with Store.own(path) as store:
        assert reads.llm_calls(store).height == 5


def test_a_transaction_is_one(path: Path) -> None:
    """Inside it a client sees its own writes, nobody else does, and an error takes them back."""
    with owned(path), Store.open(path) as one, Store.open(path) as other:
        with pytest.raises(ZeroDivisionError), one.transaction():
            one.write(growing_session(2))
            assert reads.llm_calls(one).height == 2
            assert reads.llm_calls(other).height == 0
            raise ZeroDivisionError
        assert reads.llm_calls(one).height == 0
        one.write(growing_session(2))
        assert reads.llm_calls(other).height == 2


def test_a_writer_waits_for_a_writer_and_a_reader_for_nobody(path: Path) -> None:
    """The second transaction begins when the first has ended; reads go on meanwhile."""
    with owned(path), Store.open(path) as one, Store.open(path) as other:
        order: list[str] = []

        def write() -> None:
            other.write(growing_session(2, "b"))
            order.append("second")

        with one.transaction():
            one.write(growing_session(2, "a"))
            thread = threading.Thread(target=write)
            thread.start()
            with Store.open(path) as reader:
                assert reads.llm_calls(reader).height == 0
            order.append("first")
        thread.join()
        assert order == ["first", "second"]


def test_a_client_that_is_killed_leaves_nothing_and_blocks_nobody(path: Path) -> None:
    """The owner rolls its transaction back and lets the next writer in."""
    program = (
        "import sys, os, signal\nfrom pathlib import Path\n"
        "from phasewise_store.store import Store\n"
        "from tests.store.facts_for_tests import growing_session\n"
        "with Store.open(Path(sys.argv[1])) as store, store.transaction():\n"
        "    store.write(growing_session(3, 'lost'))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with owned(path):
        ended = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL
        with Store.open(path) as store:
            store.write(growing_session(2, "kept"))
            assert set(reads.llm_calls(store)["session_id"]) == {"kept"}


def test_an_owner_that_dies_ends_a_transaction_with_a_clear_word(path: Path) -> None:
    """Nothing of the transaction is kept, and the next owner's clients find what was before."""
    with owned(path) as owner, Store.open(path) as store:
        store.write(growing_session(2, "before"))
        with pytest.raises(StoreError, match="ended during this command"):  # noqa: SIM117
            with store.transaction():
                store.write(growing_session(2, "during"))
                owner.kill()
                owner.wait()
                store.write(growing_session(2, "after"))
    with Store.open(path) as store:
        assert set(reads.llm_calls(store)["session_id"]) == {"before"}


def test_a_read_outlives_the_change_of_owners(path: Path) -> None:
    """A client whose owner was replaced asks the new one."""
    with owned(path) as owner:
        store = Store.open(path)
        store.write(growing_session(2))
        owner.kill()
        owner.wait()
    with store, owned(path):
        assert reads.llm_calls(store).height == 2


def test_a_file_that_is_kept_is_waited_for(path: Path) -> None:
    """A command beside another that works on the file alone says so, and goes on afterwards."""
    said: list[str] = []
    with owned(path, "keeps") as owner:
        timer = threading.Timer(0.5, owner.kill)
        timer.start()
        with Store.open(path, waiting=said.append) as store:
            assert not store.is_shared
        assert said == [f"waiting for process {owner.pid}, which is using `{path}`"]


def test_another_version_is_told_apart(path: Path) -> None:
    """Programs that may not understand each other's schema do not try."""
    address = messages.address_beside(path)
    with owned(path), messages.connected(address) as raw:
        raw.send(messages.Hello(version="0.0.1"))
        assert raw.recv() == messages.Hello()
        with pytest.raises(EOFError):
            raw.recv()


def test_builds_of_one_version_are_told_apart_by_their_schema() -> None:
    """The words in the refusal, where the versions are the same."""
    assert str(messages.Hello("1.0", 3)) == "1.0 (schema 3)"


def test_the_owner_alone_may_own(path: Path) -> None:
    """`up` beside `up` is refused with the number of the process."""
    with owned(path) as owner, pytest.raises(StoreLockedError, match=f"pid {owner.pid}"):
        Store.own(path)


def test_another_program_s_lock_is_no_reason_to_wait(path: Path) -> None:
    """A file that a plain DuckDB has open is refused at once."""
    Store.own(path).close()
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreLockedError, match="another program"):
            Store.open(path)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("through", ["file", "owner"])
def test_a_person_s_query_cannot_write_nor_run_for_ever(path: Path, through: str) -> None:
    """One statement that reads, within its time, and no other file."""
    with owned(path) if through == "owner" else Store.own(path) as outer:
        store = Store.open(path) if through == "owner" else outer
        assert isinstance(store, Store)
        store.write(growing_session(2))
        answer = store.query("SELECT count(*) AS calls FROM llm_calls", limit_s=5)
        assert (answer.columns, answer.rows) == (("calls",), ((2,),))
        for wrong in (
            "DELETE FROM llm_calls",
            "SELECT 1; SELECT 2",
            "SELECT * FROM read_csv('/etc/hostname')",
            "COPY llm_calls TO 'out.csv'",
            "no query",
        ):
            with pytest.raises(UsageError):
                store.query(wrong, limit_s=5)
        with pytest.raises(UsageError, match=r"stopped after 0\.2 s"):
            store.query("SELECT count(*) FROM range(10_000_000_000) a, range(100) b", limit_s=0.2)
        assert store.query("SELECT count(*) FROM llm_calls", limit_s=5).rows == ((2,),)
        if store is not outer:
            store.close()


def test_a_long_path_has_a_socket_too(tmp_path: Path) -> None:
    """The kernel takes 107 characters of a socket's name; databases lie deeper than that."""
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    with owned(folder / "x.duckdb"), Store.open(folder / "x.duckdb") as store:
        assert store.is_shared


def test_a_query_ends_with_its_client(path: Path) -> None:
    """A client that hangs up in the middle of a query does not keep the owner busy."""
    with owned(path) as owner, messages.connected(messages.address_beside(path)) as raw:
        raw.send(messages.Hello())
        raw.recv()
        query = "SELECT count(*) FROM range(10_000_000_000) a, range(100) b"
        raw.send(messages.Statement(query))
        time.sleep(0.3)
        raw.close()
        assert _goes_idle(owner.pid)


ASKING = """
import sys
from pathlib import Path
from phasewise_store.store import Store
with Store.open(Path(sys.argv[1])) as store:
    store.frame("SELECT 1")
    print("asks", flush=True)
    store.frame("SELECT count(*) FROM range(10_000_000_000) a, range(100) b")
"""


def test_ctrl_c_ends_a_client_that_waits_for_its_owner(path: Path) -> None:
    """A long query at the owner's holds up neither of them."""
    with owned(path) as owner:
        client = subprocess.Popen(
            [sys.executable, "-c", ASKING, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert client.stdout is not None
        assert client.stdout.readline() == b"asks\n"
        time.sleep(0.3)  # the query is under way
        client.send_signal(signal.SIGINT)
        try:
            _, said = client.communicate(timeout=20)
        finally:
            client.kill()
        assert said.rstrip().endswith(b"KeyboardInterrupt")
        with Store.open(path) as store:
            assert store.frame("SELECT 1").item() == 1
        assert _goes_idle(owner.pid)


def _goes_idle(pid: int) -> bool:
    until = time.monotonic() + 20
    while _busy(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _busy(pid: int) -> bool:
    """Say whether a process takes time of a processor."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(0.3)
    return ticks() - before > 5


def test_a_wrong_statement_is_the_client_s_error(path: Path) -> None:
    """An error of DuckDB's at the owner's is the same error at the client's."""
    with owned(path), Store.open(path) as store:
        with pytest.raises(duckdb.CatalogException):
            store.frame("SELECT * FROM nowhere")
        assert store.frame("SELECT 1 AS one").equals(pl.DataFrame({"one": [1]}, {"one": pl.Int32}))


@pytest.mark.parametrize("shared", [False, True])
def test_a_snapshot_is_one_moment(path: Path, shared: bool) -> None:
    """Reads inside it do not see what another writes meanwhile; reads after it do."""
    with ExitStack() as stack:
        if shared:
            stack.enter_context(owned(path))
            reader, writer = (stack.enter_context(Store.open(path)) for _ in range(2))
        else:
            reader = writer = stack.enter_context(Store.own(path))
        writer.write(growing_session(2, "a"))
        with reader.snapshot():
            assert reads.llm_calls(reader).height == 2
            thread = threading.Thread(target=writer.write, args=(growing_session(3, "b"),))
            thread.start()
            thread.join()
            assert reads.llm_calls(reader).height == 2
            trie = reads.trie(reader)
            assert len(trie.leaf) == 2
            texts = reads.segments(reader, trie.segment.tolist())  # sends a frame along
            assert len(texts) == len(set(trie.segment.tolist()))
        assert reads.llm_calls(reader).height == 5


def test_an_owner_that_dies_ends_a_snapshot_with_a_clear_word(path: Path) -> None:
    """What would be read behind it is of another moment."""
    with owned(path) as owner, Store.open(path) as store:
        store.write(growing_session(2))
        with pytest.raises(StoreError, match="ended during this command"):  # noqa: SIM117
            with store.snapshot():
                reads.llm_calls(store)
                owner.kill()
                owner.wait()
                reads.llm_calls(store)

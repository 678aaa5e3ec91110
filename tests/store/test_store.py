"""The store: what goes in comes out, once."""

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from phasewise_store import reads
from phasewise_store.errors import SchemaError, StoreError, StoreLockedError
from phasewise_store.facts import Usage, Written
from phasewise_store.scope import Scope
from phasewise_store.statements import run
from phasewise_store.store import Store

from tests.store.facts_for_tests import SYSTEM, growing_session, turn


def test_a_batch_written_twice_adds_nothing(store: Store) -> None:
    """The second write of the same facts counts no new row, and the first still stands."""
    first = store.write(growing_session(3))
    second = store.write(growing_session(3))
    assert (first.sessions, first.llm_calls) == (1, 3)
    assert second == Written(known_calls=3)
    assert reads.llm_calls(store).height == 3


def test_a_shared_history_is_stored_once(store: Store) -> None:
    """A prompt that grows by one message a call needs one node a message, not one a call."""
    written = store.write(growing_session(5))
    assert written.nodes == 1 + 5
    assert written.segments == 1 + 5 + 5, "system, five turns, five answers"


def test_the_prompt_comes_back_byte_for_byte(store: Store) -> None:
    """A call's prompt is read back in order, with role and exact text."""
    store.write(growing_session(2))
    assert reads.prompt(store, "s1-1") == (SYSTEM, turn(0), turn(1))
    (answer,) = reads.output(store, "s1-1")
    assert (answer.role, answer.content) == ("assistant", b"answer 1")


def test_two_sessions_meet_in_the_trie(store: Store) -> None:
    """Sessions that send the same messages end on the same leaf."""
    store.write(growing_session(2, "s1"))
    written = store.write(growing_session(2, "s2"))
    leaves = reads.llm_calls(store)["leaf_node"].to_list()
    assert written.nodes == 0
    assert leaves[:2] == leaves[2:]


def test_scope_filters_calls_and_trie_alike(store: Store) -> None:
    """The trie of a scope has one leaf a call in it, and only nodes on their way."""
    store.write(growing_session(2, "s1"))
    store.write(growing_session(4, "s2"))
    scope = Scope(session_id="s1")
    trie = reads.trie(store, scope)
    assert len(trie.leaf) == reads.llm_calls(store, scope).height == 2
    assert len(trie.parent) == 3
    assert all(parent < node for node, parent in enumerate(trie.parent))


def test_rewriting_a_call_replaces_it_in_its_place(store: Store) -> None:
    """A call that is known better later keeps its ordinal and takes the new usage."""
    batch = growing_session(2)
    store.write(batch)
    better = dataclasses.replace(batch.llm_calls[0], usage=Usage(uncached_tokens=99))
    store.rewrite(dataclasses.replace(batch, llm_calls=(better,)))
    calls = reads.llm_calls(store)
    assert calls["call_id"].to_list() == ["s1-0", "s1-1"]
    assert calls["input_tokens"].to_list() == [99, 11]


def test_an_error_in_a_transaction_leaves_nothing_behind(store: Store) -> None:
    """What was written before an error in the same transaction is rolled back."""
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.write(growing_session(1))
        _ = 1 // 0
    assert reads.llm_calls(store).is_empty()


def test_readers_do_not_wait_for_a_writer(store: Store) -> None:
    """Another thread reads the last committed state while a transaction is open."""
    store.write(growing_session(1))
    seen: list[int] = []
    with store.transaction():
        store.write(growing_session(3, "s2"))
        reader = threading.Thread(target=lambda: seen.append(reads.llm_calls(store).height))
        reader.start()
        reader.join(timeout=30)
        inside = reads.llm_calls(store).height
    assert (seen, inside) == ([1], 4)


def test_a_second_process_is_kept_out_and_told_what_to_do(tmp_path: Path) -> None:
    """While one process has the file, another's error names its pid and the way out."""
    path = tmp_path / "x.duckdb"
    script = (
        "import sys; from pathlib import Path; from phasewise_store.store import Store\n"
        f"with Store.open(Path({str(path)!r})): print('open', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(StoreLockedError, match=rf"pid {owner.pid}.*--db"):
            Store.open(path)
        owner.communicate("")
    with Store.open(path) as store:
        assert reads.llm_calls(store).is_empty()


def test_facts_survive_closing(tmp_path: Path) -> None:
    """A file that is closed and opened again has the same facts and takes more."""
    with Store.open(tmp_path / "x.duckdb") as store:
        store.write(growing_session(2, "s1"))
    with Store.open(tmp_path / "x.duckdb") as store:
        store.write(growing_session(2, "s2"))
        assert reads.llm_calls(store)["ordinal"].to_list() == [1, 2, 3, 4]


def test_the_file_is_in_the_format_that_1_5_reads(tmp_path: Path) -> None:
    """A new file is written in the storage format of DuckDB 1.5, whatever version runs."""
    with Store.open(tmp_path / "x.duckdb") as store:
        store.write(growing_session(1))
        (tags,) = store.frame(
            "SELECT tags['storage_version'] AS v FROM duckdb_databases() WHERE NOT internal"
        )["v"].to_list()
    assert tags.startswith("v1.5")


def test_a_foreign_duckdb_file_is_refused(tmp_path: Path) -> None:
    """A DuckDB file of another program is left alone."""
    path = tmp_path / "other.duckdb"
    script = f"import duckdb; duckdb.connect({str(path)!r}).execute('CREATE TABLE t (i INT)')"
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(SchemaError, match="not Phasewise's"):
        Store.open(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Bytes that are no DuckDB file give an error that names the file, and stay as they are."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database at all" * 400)
    with pytest.raises(SchemaError, match=r"notes\.txt"):
        Store.open(path)
    assert path.read_bytes() == b"not a database at all" * 400


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A file of a later Phasewise says to upgrade instead of being misread."""
    path = tmp_path / "x.duckdb"
    with Store.open(path) as store, store.transaction() as connection:
        run(connection, "INSERT INTO schema_migrations (version, name) VALUES (999, 'later')")
    with pytest.raises(SchemaError, match="upgrade"):
        Store.open(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A database in a folder that is not there gives an error, not a traceback."""
    with pytest.raises(StoreError, match="does not exist"):
        Store.open(tmp_path / "nowhere" / "x.duckdb")

"""However a file is encoded and laid out, the same records are read from it."""

import gzip
import json
from pathlib import Path

import pytest
from phasewise_collector.importers.encoding import utf8
from phasewise_collector.importing import import_paths
from phasewise_store.store import Store
from phasewise_web.cli.main import main

CALLS: list[dict[str, object]] = [
    {"timestamp": 1000 * n, "input_length": 600, "output_length": 5, "hash_ids": [1, n]}
    for n in range(2, 5)
]
LINES = "\n".join(json.dumps(call) for call in CALLS) + "\n"

WRITTEN = {
    "UTF-8": LINES.encode(),
    "a mark and CRLF": b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode(),
    "PowerShell": b"\xff\xfe" + LINES.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16, big end first": b"\xfe\xff" + LINES.encode("utf-16-be"),
    "UTF-16 without a mark": LINES.encode("utf-16-le"),
    "UTF-32": b"\xff\xfe\0\0" + LINES.encode("utf-32-le"),
    "UTF-16, compressed": gzip.compress(b"\xff\xfe" + LINES.encode("utf-16-le")),
    "zero bytes at the end": LINES.encode() + b"\0" * 300,
    "indented, one behind the other": "\n".join(json.dumps(c, indent=2) for c in CALLS).encode(),
    "one array": json.dumps(CALLS).encode(),
    "one array, indented": json.dumps(CALLS, indent=2).encode(),
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN)
def test_the_same_calls_are_read(tmp_path: Path, store: Store, data: bytes) -> None:
    """No encoding and no layout loses a record."""
    path = tmp_path / "trace.jsonl"
    path.write_bytes(data)
    done = import_paths(store, [path])
    assert (done.llm_calls, done.skipped) == (3, [])


def test_the_same_text_in_another_encoding_is_the_same_source(tmp_path: Path, store: Store) -> None:
    """A file that was saved again as UTF-16 adds nothing."""
    for name in ("UTF-8", "UTF-16, big end first", "UTF-16, compressed"):
        (tmp_path / f"{name}.jsonl").write_bytes(WRITTEN[name])
    done = import_paths(store, [tmp_path])
    assert (done.llm_calls, done.already_there) == (3, 2)


def test_a_bad_object_among_indented_ones_is_skipped_with_its_line(
    tmp_path: Path, store: Store
) -> None:
    """The objects around it are read."""
    first, second, third = (json.dumps(call, indent=2) for call in CALLS)
    path = tmp_path / "trace.json"
    path.write_text("\n".join([first, second.replace(":", "", 1), third]))
    done = import_paths(store, [path])
    assert done.llm_calls == 2
    assert [left.line for left in done.skipped] == [first.count("\n") + 2]


def test_documents_one_behind_the_other_are_read_each(tmp_path: Path, store: Store) -> None:
    """Two kv-cache-tester traces in one file are two sessions that share no block."""
    request = {"t": 0, "type": "n", "model": "claude-opus-4-5", "in": 64, "out": 1, "hash_ids": [1]}
    traces = [{"id": name, "block_size": 64, "requests": [request]} for name in ("a", "b")]
    path = tmp_path / "both.json"
    path.write_text("\n".join(json.dumps(trace, indent=1) for trace in traces))
    done = import_paths(store, [path])
    assert (done.sessions, done.llm_calls, done.skipped) == (2, 2, [])
    assert store.frame("SELECT count(*) AS n FROM segments").item(0, 0) == 2


def test_surrogates_and_zero_characters_in_text_are_read(tmp_path: Path, store: Store) -> None:
    """Escaped, or as the bytes that some programs write for half a character."""
    call = {"timestamp": 1, "input": "a\x00b \ud83d c", "output": "x", "session_id": "s"}
    path = tmp_path / "t.jsonl"
    raw = json.dumps(call | {"input": "INPUT"}).encode().replace(b"INPUT", b"\xed\xa0\xbd half")
    path.write_bytes(json.dumps(call).encode() + b"\n" + raw)
    done = import_paths(store, [path])
    assert (done.llm_calls, done.skipped) == (2, [])


def test_bytes_that_are_no_text_pass_as_they_are() -> None:
    """Protobuf and SQLite are not taken for UTF-16."""
    for data in (b"SQLite format 3\0" + bytes(64), b'\n\x05\x12\0\x1a\0"\0', b"", b"{}"):
        assert utf8(data) == data


def test_an_import_that_reads_nothing_exits_1(tmp_path: Path) -> None:
    """A file of a known format without one usable record is no success; the same again is."""
    database = tmp_path / "d.duckdb"
    empty, good = tmp_path / "empty.jsonl", tmp_path / "good.jsonl"
    empty.write_text(json.dumps(CALLS[0] | {"input_length": -1}))
    good.write_text(LINES)
    assert main(["import", "--db", str(database), str(empty)]) == 1
    assert main(["import", "--db", str(database), str(good)]) == 0
    assert main(["import", "--db", str(database), str(good)]) == 0

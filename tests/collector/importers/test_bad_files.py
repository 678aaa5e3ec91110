"""What importing does with files that are damaged, foreign, or there already."""

import gzip
import json
from pathlib import Path

import pytest
from phasewise_collector import samples
from phasewise_collector.importing import import_paths
from phasewise_store.errors import UnknownFormatError, UsageError
from phasewise_store.store import Store

LINE = {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}


def mooncake(path: Path, lines: list[object]) -> Path:
    """Write a Mooncake file; a text is a line as it is, anything else becomes JSON."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "JSON"),
        ("[1, 2]", "not an object"),
        (json.dumps(LINE | {"input_length": -1}), "negative"),
        (json.dumps(LINE | {"input_length": 10**12}), "more than any model"),
        (json.dumps(LINE | {"output_length": "5"}), "`output_length` is text"),
        (json.dumps(LINE).replace("600", "NaN"), "nan"),
        (json.dumps({"timestamp": 0, "input_length": 3, "hash_ids": []}), "`output_length`"),
    ],
)
def test_a_bad_line_is_counted_and_stops_nothing(
    tmp_path: Path, store: Store, line: str, reason: str
) -> None:
    """The lines around it are read; it is listed with its number and why."""
    done = import_paths(store, [mooncake(tmp_path / "t.jsonl", [LINE, line, LINE])])
    assert done.llm_calls == 2
    assert [left.line for left in done.skipped] == [2]
    assert reason.lower() in done.skipped[0].reason.lower()


def test_a_truncated_archive_gives_what_stands_before_the_damage(
    tmp_path: Path, store: Store
) -> None:
    """Whole lines before the cut are read, and the loss is said."""
    lines = [LINE | {"timestamp": 1000 * n, "hash_ids": [n * 7919, n * 7907]} for n in range(9000)]
    whole = gzip.compress("\n".join(json.dumps(line) for line in lines).encode())
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    done = import_paths(store, [path])
    assert 0 < done.llm_calls < 9000
    assert any("lost" in left.reason for left in done.skipped)


@pytest.mark.parametrize(
    "content", [b"SQLite format 3\0\x10\0\r\x01,\x02", b"\x89PNG\r\n\x1a\n\0\r,", b"a\rb,c\rd", b""]
)
def test_a_file_that_is_no_text_is_of_no_known_format(
    tmp_path: Path, store: Store, content: bytes
) -> None:
    """A database, an image, or nothing at all is named as such, alone and in a folder."""
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match=r"x\.db"):
        import_paths(store, [path])
    assert [left.line for left in import_paths(store, [tmp_path]).skipped] == [None]


def test_a_named_file_of_no_known_format_writes_nothing(tmp_path: Path, store: Store) -> None:
    """It is an error that lists the formats, and the good file beside it is not read either."""
    good = mooncake(tmp_path / "good.jsonl", [LINE])
    foreign = tmp_path / "photo.bin"
    foreign.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(UnknownFormatError, match="kv-cache-tester"):
        import_paths(store, [good, foreign])
    assert not store.frame("SELECT * FROM sources").height


def test_a_foreign_file_in_a_folder_is_listed(tmp_path: Path, store: Store) -> None:
    """A folder's other files are skipped with a reason, its traces are read."""
    mooncake(tmp_path / "good.jsonl", [LINE])
    (tmp_path / "LICENSE").write_text("free")
    done = import_paths(store, [tmp_path])
    assert done.llm_calls == 1
    assert [(Path(left.file).name, left.line) for left in done.skipped] == [("LICENSE", None)]


def test_the_same_bytes_twice_add_nothing(tmp_path: Path, store: Store) -> None:
    """Also under another name, and compressed."""
    plain = mooncake(tmp_path / "a.jsonl", [LINE])
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    first = import_paths(store, [plain])
    second = import_paths(store, [plain, packed])
    assert (first.llm_calls, second.llm_calls, second.already_there) == (1, 0, 2)
    assert store.frame("SELECT count(*) FROM llm_calls").item() == 1


def test_a_forced_format_is_obeyed_and_an_unknown_one_refused(tmp_path: Path, store: Store) -> None:
    """`--format` wins over the content; a wrong name lists the right ones."""
    path = mooncake(tmp_path / "a.jsonl", ["{broken"])
    done = import_paths(store, [path], format_name="mooncake")
    assert (done.files, done.llm_calls, len(done.skipped)) == (1, 0, 1)
    with pytest.raises(UsageError, match="tau2-bench"):
        import_paths(store, [path], format_name="excel")


def test_a_missing_path_is_an_error(tmp_path: Path, store: Store) -> None:
    """The text names it."""
    with pytest.raises(UsageError, match="nowhere"):
        import_paths(store, [tmp_path / "nowhere.jsonl"])


def test_the_sample_traces_are_read_whole_and_small(store: Store) -> None:
    """All bundled traces import without a skipped record, and take less than 3 MB."""
    with samples.folder() as folder:
        traces = samples.traces(folder)
        done = import_paths(store, traces)
        size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
        licences = {path.parent.name for path in folder.rglob("LICENSE")}
    assert done.files == len(traces) > 20
    assert not done.skipped
    assert size < 3_000_000
    assert licences == {"kv-cache-tester", "lmcache-agent-trace", "tau2-bench"}

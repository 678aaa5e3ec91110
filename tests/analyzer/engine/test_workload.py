"""Streams of requests as files: our own lines and Mooncake's."""

import json
from pathlib import Path

import pytest
from phasewise_analyzer.engine.runs import workload
from phasewise_store.errors import UsageError


def test_a_row_of_mooncake_is_read(tmp_path: Path) -> None:
    """Milliseconds, and blocks of 512 tokens: 1,100 tokens fill two of them, or eight of 128."""
    row = {"timestamp": 2500, "input_length": 1100, "output_length": 7, "hash_ids": [4, 9, 12]}
    path = tmp_path / "mooncake.jsonl"
    path.write_text(json.dumps(row))
    (found,) = workload.read(path, 512)
    assert (found.arrival_s, found.input_tokens, found.output_tokens) == (2.5, 1100, 7)
    assert found.digests == (4, 9)
    (smaller,) = workload.read(path, 128)
    assert len(smaller.digests) == 1100 // 128
    assert smaller.digests[:5] == ((4, 0), (4, 1), (4, 2), (4, 3), (9, 0))


def test_a_mooncake_row_without_a_length_is_named(tmp_path: Path) -> None:
    """The line is named, with what it needs."""
    path = tmp_path / "mooncake.jsonl"
    path.write_text(json.dumps({"timestamp": 0, "input_length": 5}))
    with pytest.raises(UsageError, match=r"mooncake.jsonl:1: .* are needed"):
        workload.read(path, 16)


def test_an_exact_cache_gets_the_blocks_of_the_file(tmp_path: Path) -> None:
    """The partly filled last block too, and what the client has allowed."""
    row = {"timestamp": 0, "input_length": 1100, "output_length": 7, "hash_ids": [4, 9, 12]}
    path = tmp_path / "mooncake.jsonl"
    path.write_text(json.dumps(row | {"max_tokens": 50}) + "\n" + json.dumps(row))
    limited, plain = workload.read_exact(path)
    assert (limited.digests, limited.digest_tokens) == ((4, 9, 12), 512)
    assert (limited.most_output_tokens, plain.most_output_tokens) == (50, 7)
    assert not limited.forced


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"hash_ids": [1]}, "`hash_ids` need `block_tokens`"),
        ({"hash_ids": [1], "block_tokens": 2}, "1 `hash_ids` are too few for 5 tokens"),
        ({"max_tokens": 1}, "`max_tokens` is less than `output_tokens`"),
    ],
)
def test_a_row_that_does_not_fit_together_is_named(
    tmp_path: Path, row: dict[str, object], message: str
) -> None:
    """Ids without a size, too few ids, and fewer tokens allowed than generated."""
    path = tmp_path / "stream.jsonl"
    path.write_text(json.dumps({"arrival_s": 0, "input_tokens": 5, "output_tokens": 2} | row))
    with pytest.raises(UsageError, match=message):
        workload.read_exact(path)

"""Streams of requests as files: our own lines and Mooncake's."""

import json
from pathlib import Path

import pytest
from phasewise_analyzer.engine import workload
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

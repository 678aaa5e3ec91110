"""Reads a stream of requests: JSON lines, plain or gzipped.

A line has `arrival_ns` (or `arrival_s`), `input_tokens`, `output_tokens`, and optionally
`block_tokens` with `hash_ids`, the chained ids of the prompt's blocks: equal ids mean an equal
prefix; the last block may be partly filled. Mooncake's names are read too: `timestamp` (ms),
`input_length`, `output_length`, and blocks of 512 tokens.
"""

import gzip
import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.request import Request

GZIP = b"\x1f\x8b"
MOONCAKE_BLOCK = 512


def read(path: Path, block_size: int) -> list[Request]:
    """Return the requests of a file, in its order, with prompts in blocks of an engine's size."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == GZIP else content).decode("utf-8")
    except OSError as wrong:
        raise UsageError(f"cannot read `{path}`: {wrong.strerror or wrong}") from wrong
    except (EOFError, UnicodeDecodeError) as wrong:
        raise UsageError(f"`{path}` is neither text nor gzipped text: {wrong}") from wrong
    lines = [line for line in enumerate(text.splitlines(), start=1) if line[1].strip()]
    if not lines:
        raise UsageError(f"`{path}` has no requests")
    return [_request(f"{path}:{number}", line, block_size) for number, line in lines]


def _request(place: str, line: str, block_size: int) -> Request:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as wrong:
        raise UsageError(f"{place}: not JSON: {wrong}") from wrong
    if not isinstance(row, dict):
        raise UsageError(f"{place}: not a JSON object")
    if "timestamp" in row:
        row = _from_mooncake(row)
    arrival = row["arrival_ns"] / 1e9 if "arrival_ns" in row else row.get("arrival_s")
    counts = [row.get("input_tokens"), row.get("output_tokens")]
    if not isinstance(arrival, int | float) or not all(
        isinstance(count, int) and count > 0 for count in counts
    ):
        raise UsageError(
            f"{place}: `arrival_ns` or `arrival_s`, and positive `input_tokens` and "
            "`output_tokens` are needed"
        )
    tokens, output = row["input_tokens"], row["output_tokens"]
    ids = row.get("hash_ids") or ()
    digests = _digests(place, ids, row.get("block_tokens", block_size), block_size, tokens)
    return Request(float(arrival), tokens, output, digests)


def _from_mooncake(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of Mooncake's traces under our names."""
    moment = row["timestamp"]
    return {
        "arrival_s": moment / 1e3 if isinstance(moment, int | float) else None,
        "input_tokens": row.get("input_length"),
        "output_tokens": row.get("output_length"),
        "block_tokens": MOONCAKE_BLOCK,
        "hash_ids": row.get("hash_ids"),
    }


def _digests(
    place: str, ids: Sequence[Hashable], size: int, block_size: int, tokens: int
) -> tuple[Hashable, ...]:
    """Return an id for each full block of the engine's size.

    The id of a larger block is that of the last one in it: ids are chained.
    """
    if not ids:
        return ()
    if block_size % size and size % block_size:
        raise UsageError(
            f"{place}: blocks of {size} tokens cannot be cut into blocks of {block_size}"
        )
    if len(ids) < tokens // size:
        raise UsageError(f"{place}: {len(ids)} `hash_ids` are too few for {tokens} tokens")
    full = tokens // block_size
    if size <= block_size:
        step = block_size // size
        return tuple(ids[(block + 1) * step - 1] for block in range(full))
    parts = size // block_size
    return tuple((ids[block // parts], block % parts) for block in range(full))

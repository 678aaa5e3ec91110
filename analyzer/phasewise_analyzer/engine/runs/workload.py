"""Reads a stream of requests: JSON lines, plain or gzipped.

A line has `arrival_ns` (or `arrival_s`), `input_tokens`, `output_tokens`, and optionally
`block_tokens` with `hash_ids`, the chained ids of the prompt's blocks: equal ids mean an equal
prefix; the last block may be partly filled. `max_tokens` is the limit that the client set, and
`ignore_eos` says that the output was forced to it: SGLang reserves KV cache by them. Mooncake's
names are read too: `timestamp` (ms), `input_length`, `output_length`, and blocks of 512 tokens.
"""

import gzip
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.schedulers.request import Request

Prefix = tuple[tuple[Hashable, ...], int | None]
"""ids of a prompt's blocks, and the tokens that one stands for, where they are not the engine's"""
Cut = Callable[[str, Sequence[Hashable], int | None, int], Prefix]
"""cuts ids of blocks of so many tokens, of a prompt of so many tokens, for an engine's cache"""

GZIP = b"\x1f\x8b"
MOONCAKE_BLOCK = 512


def read(path: Path, block_size: int) -> list[Request]:
    """Return the requests of a file, in its order, with prompts in blocks of an engine's size."""

    def cut(place: str, ids: Sequence[Hashable], size: int | None, tokens: int) -> Prefix:
        return _digests(place, ids, size or block_size, block_size, tokens), None

    return _read(path, cut)


def read_exact(path: Path) -> list[Request]:
    """Return the requests of a file, in its order, for an engine whose cache is exact per token."""
    return _read(path, _as_they_are)


def _read(path: Path, cut: Cut) -> list[Request]:
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
    return [_request(f"{path}:{number}", line, cut) for number, line in lines]


def _request(place: str, line: str, cut: Cut) -> Request:
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
    digests, digest_tokens = cut(place, ids, row.get("block_tokens"), tokens)
    allowed = row.get("max_tokens")
    if allowed is not None and (not isinstance(allowed, int) or allowed < output):
        raise UsageError(f"{place}: `max_tokens` is less than `output_tokens`, or not a number")
    return Request(
        float(arrival),
        tokens,
        output,
        digests,
        digest_tokens,
        allowed,
        forced=row.get("ignore_eos") is True,
    )


def _from_mooncake(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of Mooncake's traces under our names."""
    moment = row["timestamp"]
    return {
        "arrival_s": moment / 1e3 if isinstance(moment, int | float) else None,
        "input_tokens": row.get("input_length"),
        "output_tokens": row.get("output_length"),
        "block_tokens": MOONCAKE_BLOCK,
        "hash_ids": row.get("hash_ids"),
        "max_tokens": row.get("max_tokens"),
    }


def _as_they_are(place: str, ids: Sequence[Hashable], size: int | None, tokens: int) -> Prefix:
    """Keep blocks as they are, the partly filled last one too."""
    if not ids:
        return (), None
    if not isinstance(size, int) or size < 1:
        raise UsageError(f"{place}: `hash_ids` need `block_tokens`, the tokens of a block")
    _refuse_few(place, ids, size, tokens)
    return tuple(ids[: -(-tokens // size)]), size


def _refuse_few(place: str, ids: Sequence[Hashable], size: int, tokens: int) -> None:
    if len(ids) < tokens // size:
        raise UsageError(f"{place}: {len(ids)} `hash_ids` are too few for {tokens} tokens")


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
    _refuse_few(place, ids, size, tokens)
    full = tokens // block_size
    if size <= block_size:
        step = block_size // size
        return tuple(ids[(block + 1) * step - 1] for block in range(full))
    parts = size // block_size
    return tuple((ids[block // parts], block % parts) for block in range(full))

"""Find the calls that are already stored, and keep the keys of all calls.

`call_identities` has one row per key, and the key is its primary key. When a server gives one id to
several calls, the keys of the later ones end with their start time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import duckdb
import polars as pl

from phasewise_store import call_rows, identity, merging
from phasewise_store.arrow import to_frame
from phasewise_store.facts import LlmCall
from phasewise_store.identity import Bearer
from phasewise_store.statements import insert_frame, run

_BY_KEY = "SELECT DISTINCT call_id FROM call_identities WHERE key IN (SELECT unnest($keys))"

_OF_SESSIONS = """
SELECT c.call_id
FROM llm_calls AS c
WHERE c.session_id IN (SELECT unnest($sessions))
"""
_OTHERS = {
    "all": "AND c.described_by <> '[]'",
    "files": """AND (c.source_id <> 'live' OR contains(c.described_by, '"trace_id":""'))""",
}
"""the other kind of account of a session, which may come without ids; a call that spans brought
first may be a file's, too"""

_ROWS = """
SELECT c.*, s.format, coalesce(n.tokens_end, 0) AS prompt_tokens,
       (SELECT coalesce(sum(tokens), 0) FROM segments
        WHERE segment_id IN (SELECT unnest(c.output_segments))) AS written_tokens
FROM llm_calls AS c
JOIN sources AS s USING (source_id)
LEFT JOIN nodes AS n ON n.node_id = c.leaf_node
WHERE c.call_id IN (SELECT unnest($ids))
ORDER BY c.ordinal
"""

_KEYS = "SELECT call_id, key FROM call_identities WHERE call_id IN (SELECT unnest($ids))"

Among = Literal["all", "files"]


@dataclass(frozen=True, slots=True)
class Known:
    """A stored call."""

    bearer: Bearer
    file: str
    """format of its source"""
    prompt_tokens: int
    written_tokens: int

    @property
    def content_rank(self) -> tuple[int, int]:
        """How good its prompt is."""
        return merging.content_rank(self.bearer.call, self.prompt_tokens)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is to be done with calls that come."""

    new: tuple[LlmCall, ...]
    completed: tuple[LlmCall, ...]
    """stored calls of which more is known now; without content where theirs is the better"""
    known: int
    """calls that were there, the completed ones among them"""
    stored_as: Mapping[str, str]
    """the id of each call that came, and the id under which it stands"""
    replaced: Mapping[str, str]
    """stored calls that proved to be another stored one"""
    content_of: Mapping[str, str]
    """stored calls, and the replaced one whose prompt is the better"""
    touched: frozenset[str]
    """sessions of stored calls that change"""


def resolve(
    connection: duckdb.DuckDBPyConnection, calls: Sequence[LlmCall], *, among: Among, file: str
) -> Resolved:
    """Say which calls are new; `file` is the format they come in.

    What spans tell is related to other spans before, so they look among the calls of files only.
    """
    stored = _candidates(connection, calls, among)
    bearers = [Bearer(call, frozenset(call.identities)) for call in calls]
    found = identity.pairs(bearers, [one.bearer for one in stored])
    new: list[LlmCall] = []
    completed: list[LlmCall] = []
    stored_as: dict[str, str] = {}
    replaced: dict[str, str] = {}
    content_of: dict[str, str] = {}
    touched: set[str] = set()
    for place, call in enumerate(calls):
        others = [stored[other] for other in sorted(found.get(place, ()))]
        if not others:
            new.append(call)
            continue
        first = others[0]
        name = first.bearer.call.call_id
        stored_as[call.call_id] = name
        for other in others[1:]:
            replaced[other.bearer.call.call_id] = name
        best = max(others, key=lambda one: one.content_rank).bearer.call.call_id
        if best != name:
            content_of[name] = best
        made = _completed(others, call, file)
        if made is not None:
            completed.append(made)
            touched |= {one.bearer.call.session_id for one in others}
    return Resolved(
        tuple(new),
        tuple(completed),
        len(stored_as),
        stored_as,
        replaced,
        content_of,
        frozenset(touched),
    )


def _completed(others: Sequence[Known], call: LlmCall, file: str) -> LlmCall | None:
    """Return the stored call with what the new one adds; None where that is nothing."""
    first = others[0]
    old = replace(first.bearer.call, identities=tuple(sorted(first.bearer.keys)))
    made = old
    for other in others[1:]:
        known = replace(other.bearer.call, identities=tuple(sorted(other.bearer.keys)))
        better = other.content_rank > first.content_rank
        made = merging.merged(made, known, new_prompt=better, file=other.file)
    best = max(one.content_rank for one in others)
    new_prompt = merging.content_rank(call, sum(part.tokens for part in call.prompt)) > best
    new_output = sum(part.tokens for part in call.output) > max(
        one.written_tokens for one in others
    )
    file_format = first.file if identity.is_of_file(first.bearer.call) else file
    made = merging.merged(made, call, new_prompt=new_prompt, file=file_format)
    made = replace(
        made,
        prompt=call.prompt if new_prompt else (),
        output=call.output if new_output else (),
    )
    same = replace(made, step=old.step, identities=()) == replace(old, identities=())
    more_keys = set(made.identities) > first.bearer.keys
    return made if not same or more_keys or len(others) > 1 else None


def _candidates(
    connection: duckdb.DuckDBPyConnection, calls: Sequence[LlmCall], among: Among
) -> list[Known]:
    keys = [key for call in calls for key in call.identities]
    ids: set[str] = set()
    if keys:
        ids |= {str(name) for (name,) in run(connection, _BY_KEY, {"keys": keys})}
    sessions = {call.session_id for call in calls if call.identities or call.described_by}
    if sessions:
        # a file and a sender tell of one session, and not both with ids
        query = _OF_SESSIONS + _OTHERS[among]
        ids |= {str(name) for (name,) in run(connection, query, {"sessions": list(sessions)})}
    if not ids:
        return []
    found = to_frame(connection.sql(_ROWS, params={"ids": sorted(ids)}))
    named: dict[str, set[str]] = {}
    for name, key in run(connection, _KEYS, {"ids": found.get_column("call_id").to_list()}):
        named.setdefault(str(name), set()).add(str(key))
    known = [
        Known(
            Bearer(call_rows.call_of(row), frozenset(named.get(row["call_id"], ()))),
            row["format"],
            row["prompt_tokens"],
            int(row["written_tokens"]),
        )
        for row in found.iter_rows(named=True)
    ]
    return [one for one in known if among == "all" or identity.is_of_file(one.bearer.call)]


def save(connection: duckdb.DuckDBPyConnection, calls: Sequence[LlmCall]) -> None:
    """Keep the keys of these calls."""
    rows = {(key, call.call_id): call.started_ns for call in calls for key in call.identities}
    if not rows:
        return
    frame = pl.DataFrame(
        [(key, call_id, start_ns) for (key, call_id), start_ns in rows.items()],
        schema={"key": pl.String(), "call_id": pl.String(), "started_ns": pl.Int64()},
        orient="row",
    )
    known = run(
        connection,
        "SELECT identity, call_id FROM call_identities WHERE key IN (SELECT unnest($keys))",
        {"keys": frame.get_column("key").unique().to_list()},
    )
    taken = {str(name): str(call_id) for name, call_id in known}
    made = []
    for key, call_id, start_ns in frame.iter_rows():
        name = key
        if taken.get(name, call_id) != call_id:
            name = f"{key}@{start_ns}@{call_id}"
        if name not in taken:
            taken[name] = call_id
            made.append((name, key, call_id))
    insert_frame(
        connection,
        "call_identities",
        pl.DataFrame(
            made,
            schema=dict.fromkeys(("identity", "key", "call_id"), pl.String()),
            orient="row",
        ),
        "INSERT",
    )


def forget(connection: duckdb.DuckDBPyConnection, call_ids: Collection[str]) -> None:
    """Drop the keys of calls that are no more."""
    run(
        connection,
        "DELETE FROM call_identities WHERE call_id IN (SELECT unnest($ids))",
        {"ids": list(call_ids)},
    )

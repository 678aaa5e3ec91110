"""Remove duplicates from databases written before calls had identities; used by one migration.

A session file that had grown was imported again under another name, `RECORDED-HASH` with the hash
of its bytes, and a resumed session repeated its history. Calls with the same response id, or with
equal content at the same place of a session, are merged.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from phasewise_store import identity
from phasewise_store.statements import run

FORMATS = ("claude-code", "codex")
"""whose own session ids are the same everywhere"""
_SUFFIX = "-[0-9a-f]{8}(-[0-9]+)?$"
"""behind the recorded id: the start of the file's hash"""

_SESSIONS = """
SELECT n.session_id, regexp_replace(n.session_id, $suffix, '')
FROM sessions AS n
JOIN sources AS s USING (source_id)
WHERE s.format IN (SELECT unnest($formats))
  AND regexp_matches(n.session_id, $suffix)
"""

_CALLS = """
SELECT c.call_id, c.session_id, c.response_id, c.started_ns, c.leaf_node, c.output_segments,
       c.output_tokens
FROM llm_calls AS c
JOIN sources AS s USING (source_id)
WHERE s.format IN (SELECT unnest($formats))
ORDER BY c.output_tokens DESC, c.ordinal
"""

_IDENTIFIED = """
SELECT c.call_id, c.session_id, c.response_id, c.started_ns, c.leaf_node, c.output_segments,
       s.format
FROM llm_calls AS c
JOIN sources AS s USING (source_id)
WHERE s.format = 'codex' OR (c.response_id IS NOT NULL AND s.format <> 'whatif')
ORDER BY c.ordinal
"""

_DIGESTS = """
SELECT segment_id, digest
FROM segments
WHERE segment_id IN (
    SELECT unnest(c.output_segments)
    FROM llm_calls AS c
    JOIN sources AS s USING (source_id)
    WHERE s.format IN (SELECT unnest($formats))
)
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mended:
    """What was removed."""

    calls: int = 0
    sessions: int = 0


def mend(connection: duckdb.DuckDBPyConnection) -> Mended:
    """Merge the calls and sessions that stand twice, and say how many were removed."""
    parameters = {"formats": list(FORMATS), "suffix": _SUFFIX}
    recorded = {str(old): str(new) for old, new in run(connection, _SESSIONS, parameters)}
    doubles = _doubles(run(connection, _CALLS, {"formats": list(FORMATS)}), recorded)
    _drop_calls(connection, doubles)
    _rename(connection, recorded)
    _identify(connection)
    done = Mended(len(doubles), len(recorded) - len(set(recorded.values())))
    if done.calls or done.sessions:
        _log.warning(
            "removed %d calls and %d sessions that were stored twice: copies of a file that had "
            "grown, or of a resumed session",
            done.calls,
            done.sessions,
        )
    return done


def _doubles(rows: Sequence[tuple[object, ...]], recorded: Mapping[str, str]) -> list[str]:
    """Return the calls that are another one: of several snapshots the largest stays."""
    seen: set[tuple[object, ...]] = set()
    alike: Counter[tuple[object, ...]] = Counter()
    doubles = []
    for call_id, session_id, response_id, started_ns, leaf, output, _ in rows:
        key: tuple[object, ...] = (response_id, started_ns)
        if response_id is None:
            # a forked thread wrote its parent's calls again with other times
            alike[session_id, leaf, str(output)] += 1
            session = recorded.get(str(session_id), session_id)
            key = (session, leaf, str(output), alike[session_id, leaf, str(output)])
        if key in seen:
            doubles.append(str(call_id))
        seen.add(key)
    return doubles


def _drop_calls(connection: duckdb.DuckDBPyConnection, call_ids: Sequence[str]) -> None:
    ids = {"ids": list(call_ids)}
    for table in ("call_costs", "llm_calls"):
        run(connection, f"DELETE FROM {table} WHERE call_id IN (SELECT unnest($ids))", ids)
    run(
        connection,
        "DELETE FROM tool_calls WHERE regexp_replace(tool_call_id, '\\.[0-9]+$', '') "
        "IN (SELECT unnest($ids))",
        ids,
    )


def _rename(connection: duckdb.DuckDBPyConnection, recorded: Mapping[str, str]) -> None:
    """Return sessions and their agents the recorded name; what it meets there stays."""
    for old, new in recorded.items():
        names = {"old": old, "new": new}
        for table in ("llm_calls", "tool_calls"):
            run(
                connection,
                f"UPDATE {table} SET session_id = $new, "
                "agent_id = $new || substr(agent_id, length($old) + 1) WHERE session_id = $old",
                names,
            )
        run(
            connection,
            "INSERT OR IGNORE INTO agents SELECT $new || substr(agent_id, length($old) + 1), "
            "$new, name, $new || substr(parent_agent_id, length($old) + 1) "
            "FROM agents WHERE session_id = $old",
            names,
        )
        run(
            connection,
            "INSERT OR IGNORE INTO sessions SELECT $new, * EXCLUDE (session_id) FROM sessions "
            "WHERE session_id = $old",
            names,
        )
        for table in ("agents", "sessions"):
            run(connection, f"DELETE FROM {table} WHERE session_id = $old", {"old": old})


def _identify(connection: duckdb.DuckDBPyConnection) -> None:
    """Return the calls that stay their keys."""
    found = run(connection, _IDENTIFIED)
    digests: dict[object, bytes] = {}
    for segment, digest in run(connection, _DIGESTS, {"formats": list(FORMATS)}):
        assert isinstance(digest, bytes)
        digests[segment] = digest
    nth: Counter[str] = Counter()
    taken: set[str] = set()
    for call_id, session_id, response_id, started_ns, leaf, output, form in found:
        keys = list(identity.of_ids(None if response_id is None else str(response_id)))
        if form == FORMATS[1]:
            assert isinstance(leaf, int)
            assert isinstance(output, list)
            written = [digests[one] for one in output]
            place = identity.of_stored_place(str(session_id), leaf, written)
            keys.append(identity.nth(place, nth[place]))
            nth[place] += 1
        for key in keys:
            name = key if key not in taken else f"{key}@{started_ns}@{call_id}"
            taken.add(name)
            run(connection, "INSERT INTO call_identities VALUES (?, ?, ?)", [name, key, call_id])

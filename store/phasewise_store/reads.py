"""What the floors above read: calls, sessions, tools, the trie, prompts.

Every frame is in order of arrival (`llm_calls.ordinal`), which is file order for an import.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
import zstandard

from phasewise_store.errors import StoreError
from phasewise_store.facts import Segment
from phasewise_store.prompt_paths import PromptPaths
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store
from phasewise_store.trie import ROOT, Trie, dense

_CALLS = """
FROM llm_calls c
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
"""
_ALL_COLUMNS = f"""
SELECT c.*, k.* EXCLUDE (call_id), a.name AS agent, a.parent_agent_id, s.name AS source
{_CALLS}
"""
_WITH_COSTS = f"{_ALL_COLUMNS} LEFT JOIN call_costs k USING (call_id)"


def llm_calls(
    store: Store, scope: Scope = EVERYTHING, *, limit: int | None = None, offset: int = 0
) -> pl.DataFrame:
    """Give every column of `llm_calls` and `call_costs` (null where not analysed yet).

    Also `agent` (the role's name), `parent_agent_id` and `source` (the data set's name).
    """
    condition, parameters = scope.condition()
    if limit is not None:  # their rows first: sorting whole ones reads all of every call
        rows = store.frame(
            f"SELECT c.rowid {_CALLS} WHERE {condition} "
            f"ORDER BY c.ordinal LIMIT {int(limit)} OFFSET {int(offset)}",
            parameters,
        )
        condition = "c.rowid IN (SELECT unnest($rows))"
        parameters = {"rows": rows["rowid"].to_list()}
    return store.frame(f"{_WITH_COSTS} WHERE {condition} ORDER BY c.ordinal", parameters)


def calls_with_ids(store: Store, call_ids: Sequence[str]) -> pl.DataFrame:
    """Give the calls with these ids; the columns of `llm_calls` here.

    First their rows alone, by the columns of ids: no other column of all calls is to be read.
    """
    rows = {
        table: store.frame(
            f"SELECT rowid FROM {table} WHERE call_id IN (SELECT unnest($ids))",
            {"ids": list(call_ids)},
        )["rowid"].to_list()
        for table in ("llm_calls", "call_costs")
    }
    return store.frame(
        f"{_ALL_COLUMNS} LEFT JOIN (SELECT * FROM call_costs "
        "WHERE rowid IN (SELECT unnest($call_costs))) k USING (call_id) "
        "WHERE c.rowid IN (SELECT unnest($llm_calls)) ORDER BY c.ordinal",
        rows,
    )


def agents_of_calls(store: Store, call_ids: Sequence[str]) -> dict[str, str]:
    """Give the names of the agents of calls; calls that are not there have none."""
    found = store.frame(
        "SELECT c.call_id, a.name FROM llm_calls c JOIN agents a USING (agent_id) "
        "WHERE c.call_id IN (SELECT unnest($ids))",
        {"ids": list(call_ids)},
    )
    return dict(found.iter_rows())


def session_steps(store: Store, session_id: str) -> pl.DataFrame:
    """Give what a session is made of, in order: its LLM calls, each with its tools behind it.

    Columns kind (llm or tool), id, step, started_ns, duration_ns; a tool's step is that of the call
    that asked for it.
    """
    return store.frame(_SESSION_STEPS, {"session_id": session_id})


_SESSION_STEPS = """
SELECT kind, id, step, started_ns, duration_ns
FROM (
    SELECT 'llm' AS kind, call_id AS id, step, started_ns, duration_ns, ordinal
    FROM llm_calls
    WHERE session_id = $session_id
    UNION ALL
    SELECT 'tool', tool_call_id, coalesce(after_step, 0), started_ns, duration_ns, NULL
    FROM tool_calls
    WHERE session_id = $session_id
)
ORDER BY step, kind, ordinal, started_ns, id
"""


def sent_calls(store: Store, scope: Scope = EVERYTHING) -> pl.DataFrame:
    """Give what a picture of prompts is made of: a few columns of `llm_calls`, and the costs."""
    condition, parameters = scope.condition()
    return store.frame(
        "SELECT c.ordinal, c.session_id, c.block_tokens, c.input_tokens, c.cache_read_tokens, "
        "c.cache_reported, a.name AS agent, k.* EXCLUDE (call_id, rates) "
        f"{_CALLS} LEFT JOIN call_costs k USING (call_id) WHERE {condition} ORDER BY c.ordinal",
        parameters,
    )


def waiting_calls(store: Store, source: str) -> pl.DataFrame:
    """Give the calls of a data set that are not analysed yet; the columns of `llm_calls` here.

    First their rows alone: the other columns of all calls are not to be read for a few new ones.
    """
    rows = store.frame(
        "SELECT c.rowid FROM llm_calls c JOIN sources s USING (source_id) WHERE s.name = $source "
        "AND NOT EXISTS (SELECT 1 FROM call_costs k WHERE k.call_id = c.call_id)",
        {"source": source},
    )
    return store.frame(
        f"{_WITH_COSTS} WHERE c.rowid IN (SELECT unnest($rows)) ORDER BY c.ordinal",
        {"rows": rows["rowid"].to_list()},
    )


def timed_calls(store: Store, source: str, most: int) -> pl.DataFrame:
    """Give a data set's last analysed calls whose first token was seen, in order of arrival.

    Columns input_tokens, output_tokens, cache_reported, cache_read_tokens, sent_before_tokens,
    ttft_ns, duration_ns.
    """
    return store.frame(
        "SELECT * EXCLUDE (ordinal) FROM ("
        "SELECT c.ordinal, c.input_tokens, c.output_tokens, c.cache_reported, c.cache_read_tokens, "
        "k.sent_before_tokens, c.ttft_ns, c.duration_ns "
        f"{_CALLS} JOIN call_costs k USING (call_id) "
        "WHERE s.name = $source AND c.ttft_ns IS NOT NULL AND c.duration_ns IS NOT NULL "
        "ORDER BY c.ordinal DESC LIMIT $most) ORDER BY ordinal",
        {"source": source, "most": most},
    )


def sessions(store: Store, scope: Scope = EVERYTHING) -> pl.DataFrame:
    """Give the sessions that have a call in scope, in the order of their first call.

    Columns of `sessions`, and `source` (name), `calls`, `first_ordinal`.
    """
    condition, parameters = scope.condition()
    return store.frame(
        "WITH busy AS (SELECT c.session_id, min(c.ordinal) AS first_ordinal, count(*) AS calls"
        f"{_CALLS} WHERE {condition} GROUP BY c.session_id) "
        "SELECT n.*, s.name AS source, busy.calls, busy.first_ordinal FROM busy "
        "JOIN sessions n USING (session_id) JOIN sources s USING (source_id) "
        "ORDER BY busy.first_ordinal",
        parameters,
    )


def agents(store: Store, session_id: str) -> pl.DataFrame:
    """Give the running agents of one session: columns of `agents`."""
    return store.frame(
        "SELECT * FROM agents WHERE session_id = $session_id ORDER BY agent_id",
        {"session_id": session_id},
    )


def tool_calls(store: Store, session_id: str, ids: Sequence[str] | None = None) -> pl.DataFrame:
    """Give the tool calls of one session, or some of them: `tool_calls` and `agent` (role)."""
    chosen = "" if ids is None else "AND t.tool_call_id IN (SELECT unnest($ids))"
    return store.frame(
        "SELECT t.*, a.name AS agent FROM tool_calls t LEFT JOIN agents a USING (agent_id) "
        f"WHERE t.session_id = $session_id {chosen} "
        "ORDER BY t.started_ns, t.after_step, t.tool_call_id",
        {"session_id": session_id} | ({} if ids is None else {"ids": list(ids)}),
    )


def trie(store: Store, scope: Scope = EVERYTHING) -> Trie:
    """Give the prompts of the calls in scope; `leaf` is aligned with `llm_calls(store, scope)`."""
    condition, parameters = scope.condition()
    leaves = store.frame(
        f"SELECT c.leaf_node {_CALLS} WHERE {condition} ORDER BY c.ordinal", parameters
    )
    nodes = store.frame("SELECT node_id, parent_id, segment_id, depth, tokens_end FROM nodes")
    return dense(
        nodes=nodes["node_id"].to_numpy(),
        parents=nodes["parent_id"].to_numpy(),
        segments=nodes["segment_id"].to_numpy(),
        depths=nodes["depth"].to_numpy().astype(np.int32),
        ends=nodes["tokens_end"].to_numpy(),
        leaves=leaves["leaf_node"].to_numpy(),
    )


def newest_node(store: Store) -> int:
    """Give the row of the node that was stored last, -1 where there is none."""
    found = store.frame("SELECT max(rowid) FROM nodes").item()
    return -1 if found is None else int(found)


def nodes_after(store: Store, row: int) -> pl.DataFrame:
    """Give the nodes that were stored behind a row: node, parent, segment, depth, tokens_end.

    Parents come before their children. Nodes are only ever added, so `newest_node` says where to
    go on.
    """
    return store.frame(
        "SELECT node_id, parent_id, segment_id, depth, tokens_end FROM nodes "
        "WHERE rowid > $row ORDER BY depth",
        {"row": row},
    )


def nodes_above(store: Store, node: int) -> pl.DataFrame:
    """Give a node and all above it, with the columns of `nodes_after`, the topmost first."""
    return store.frame(
        "WITH RECURSIVE path AS ("
        "SELECT * FROM nodes WHERE node_id = $node "
        "UNION ALL SELECT n.* FROM nodes n JOIN path ON n.node_id = path.parent_id) "
        "SELECT node_id, parent_id, segment_id, depth, tokens_end FROM path ORDER BY depth",
        {"node": node},
    )


def analysed_calls(store: Store, source: str) -> pl.DataFrame:
    """Give the calls of a data set that are analysed; the columns of `llm_calls` here."""
    return store.frame(
        f"{_ALL_COLUMNS} JOIN call_costs k USING (call_id) WHERE s.name = $source "
        "ORDER BY c.ordinal",
        {"source": source},
    )


def calls_at(store: Store, ordinals: Sequence[int]) -> pl.DataFrame:
    """Give the calls with these numbers; the columns of `llm_calls` here."""
    return store.frame(
        f"{_ALL_COLUMNS} LEFT JOIN call_costs k USING (call_id) "
        "WHERE c.ordinal IN (SELECT unnest($ordinals)) ORDER BY c.ordinal",
        {"ordinals": list(ordinals)},
    )


def stored_nodes(store: Store, scope: Scope = EVERYTHING) -> pl.DataFrame:
    """Give the nodes that the calls in scope pass, with the columns of `nodes_after`."""
    found = trie(store, scope)
    above = np.append(found.node, np.uint64(ROOT))[found.parent]
    return pl.DataFrame(
        {
            "node_id": found.node,
            "parent_id": above,
            "segment_id": found.segment,
            "depth": found.depth,
            "tokens_end": found.tokens_end,
        }
    )


def segments(store: Store, segment_ids: Iterable[int]) -> dict[int, Segment]:
    """Give the segments of these numbers with their exact text.

    First their rows alone, by the column of numbers: the texts of all others are not to be read.
    """
    rows = store.frame(
        "SELECT rowid FROM segments WHERE segment_id IN (SELECT unnest($ids))",
        {"ids": sorted({int(number) for number in segment_ids})},
    )
    found = store.frame(
        "SELECT segment_id, digest, kind, role, tokens, content FROM segments "
        "WHERE rowid IN (SELECT unnest($rows))",
        {"rows": rows["rowid"].to_list()},
    )
    expand = zstandard.ZstdDecompressor().decompress
    return {
        number: Segment(kind, digest, tokens, role, None if content is None else expand(content))
        for number, digest, kind, role, tokens, content in found.iter_rows()
    }


def segment_kinds(store: Store, segment_ids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    """Give kind and role of the segments of these numbers."""
    found = store.frame(
        "SELECT segment_id, kind, role FROM segments WHERE segment_id IN (SELECT unnest($ids))",
        {"ids": sorted(set(segment_ids))},
    )
    return {number: (kind, role) for number, kind, role in found.iter_rows()}


def prompt(store: Store, call_id: str) -> tuple[Segment, ...]:
    """Give a call's whole prompt in the order the model read it."""
    leaf = store.frame(
        "SELECT leaf_node FROM llm_calls WHERE call_id = $call_id", {"call_id": call_id}
    )
    nodes = PromptPaths(store).path(leaf.item()) if leaf.height else []
    path = [node.segment_id for node in nodes]
    texts = segments(store, path)
    return tuple(texts[number] for number in path)


def output(store: Store, call_id: str) -> tuple[Segment, ...]:
    """Give what a call answered."""
    found = store.frame(
        "SELECT output_segments FROM llm_calls WHERE call_id = $call_id", {"call_id": call_id}
    )
    if not found.height:
        raise StoreError(f"no LLM call `{call_id}` in this database")
    numbers: list[int] = found["output_segments"].to_list()[0]
    texts = segments(store, numbers)
    return tuple(texts[number] for number in numbers)


def outputs(store: Store, call_ids: Sequence[str]) -> dict[str, tuple[Segment, ...]]:
    """Give what each of these calls answered; empty where that was not captured."""
    found = store.frame(
        "SELECT call_id, output_segments FROM llm_calls WHERE call_id IN (SELECT unnest($ids))",
        {"ids": list(call_ids)},
    )
    texts = segments(store, found["output_segments"].explode().drop_nulls())
    return {
        call_id: tuple(texts[number] for number in numbers or ())
        for call_id, numbers in found.iter_rows()
    }

"""Sum the calls' costs by agent, session and model, in SQL over what `analyse` kept.

Embeddings and rerankings are no calls here: their price stands in other$ and so in the total.
"""

from typing import cast

import polars as pl
from phasewise_store import reads
from phasewise_store.errors import UsageError
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.findings import AgentRow, LabelValue, ModelRow, SessionRow, Totals

_SUMS = """
count(DISTINCT c.session_id) AS sessions,
count(*) FILTER (NOT c.is_side) AS calls,
coalesce(sum(c.input_tokens), 0)::BIGINT AS input_tokens,
coalesce(sum(c.uncached_tokens), 0)::BIGINT AS uncached_tokens,
coalesce(sum(c.cache_read_tokens), 0)::BIGINT AS cache_read_tokens,
coalesce(sum(c.cache_write_5m_tokens + c.cache_write_1h_tokens), 0)::BIGINT AS cache_write_tokens,
coalesce(sum(c.output_tokens), 0)::BIGINT AS output_tokens,
coalesce(sum(c.reasoning_tokens), 0)::BIGINT AS reasoning_tokens,
coalesce(sum(k.sent_before_tokens), 0)::BIGINT AS sent_before_tokens,
coalesce(sum(k.missed_tokens), 0)::BIGINT AS missed_tokens,
coalesce(sum(k.unreported_tokens), 0)::BIGINT AS unreported_tokens,
count(k.prefill_usd) AS priced_calls,
sum(k.prefill_usd) AS prefill_usd,
sum(k.prefill_low_usd) AS prefill_low_usd,
sum(k.prefill_high_usd) AS prefill_high_usd,
sum(k.cached_usd) AS cached_usd,
sum(k.unreported_usd) AS unreported_usd,
sum(k.missed_usd) AS missed_usd,
sum(k.decode_usd) AS decode_usd,
coalesce(sum(k.other_usd) + coalesce(sum(c.side_usd), 0), sum(c.side_usd)) AS other_usd,
coalesce(
    sum(k.prefill_usd) + sum(k.decode_usd) + sum(k.other_usd) + coalesce(sum(c.side_usd), 0),
    sum(c.side_usd)
) AS total_usd,
count(*) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL) AS timed_calls,
sum(k.prefill_ns) FILTER (k.decode_ns IS NOT NULL)::BIGINT AS prefill_ns,
sum(k.saved_ns) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL)::BIGINT AS saved_ns,
sum(k.prefill_low_ns) FILTER (k.decode_ns IS NOT NULL)::BIGINT AS prefill_low_ns,
sum(k.prefill_high_ns) FILTER (k.decode_ns IS NOT NULL)::BIGINT AS prefill_high_ns,
sum(k.decode_ns) FILTER (k.prefill_ns IS NOT NULL)::BIGINT AS decode_ns,
sum(k.other_ns) FILTER (k.prefill_ns IS NOT NULL AND k.decode_ns IS NOT NULL)::BIGINT AS other_ns,
count(*) FILTER (k.latency_basis = 'estimated') AS estimated_calls,
count(*) FILTER (NOT c.cache_reported) AS cache_unknown_calls,
count(*) FILTER (c.ambiguous) AS ambiguous_calls,
count(*) FILTER (c.is_side) AS side_calls,
count(*) FILTER (c.is_side AND c.side_usd IS NULL) AS unpriced_side_calls,
sum(c.side_usd) AS side_usd
"""
_FROM = """
FROM (
    SELECT *, FALSE AS is_side, NULL::DECIMAL(24, 12) AS side_usd
    FROM llm_calls
    UNION ALL BY NAME
    SELECT side_call_id AS call_id, source_id, session_id, agent_id, provider, model,
           TRUE AS is_side, usd AS side_usd
    FROM side_calls
) c
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
LEFT JOIN call_costs k USING (call_id)
"""
_SAID = """
SELECT
    c.session_id,
    list_sort(list_distinct(list(c.user_id))) AS users,
    list_sort(list_distinct(list(c.customer) || list(paid.customer))) AS customers,
    list_sort(list_distinct(list(c.version))) AS versions,
    list_sort(list_distinct(flatten(list(c.tags)))) AS tags
FROM llm_calls c
LEFT JOIN outcomes paid USING (session_id)
WHERE c.session_id IN (SELECT session_id FROM summed)
GROUP BY c.session_id
"""
_LABELS = """
SELECT label, value, count(*) AS calls
FROM (
    SELECT unnest(['user', 'customer', 'version']) AS label,
           unnest([c.user_id, c.customer, c.version]) AS value
    {calls}
    UNION ALL
    SELECT 'tag', unnest(c.tags)
    {calls}
)
WHERE value IS NOT NULL
GROUP BY label, value
QUALIFY row_number() OVER (PARTITION BY label ORDER BY count(*) DESC, value) <= $most
ORDER BY label, calls DESC, value
"""
_DEAREST_FIRST = "ORDER BY total_usd DESC NULLS LAST, input_tokens DESC, calls DESC"


def totals(store: Store, scope: Scope = EVERYTHING) -> Totals:
    """Give the sums over all calls in scope."""
    condition, parameters = scope.condition()
    found = store.frame(f"SELECT {_SUMS} {_FROM} WHERE {condition}", parameters)
    row = found.row(0, named=True)
    return _totals({name: row[name] or 0 if name in _WHOLE else row[name] for name in row})


def agents(store: Store, scope: Scope = EVERYTHING) -> tuple[AgentRow, ...]:
    """Give one row a role, the dearest first."""
    found = _grouped(store, "coalesce(a.name, 'unknown') AS agent", scope)
    return tuple(AgentRow(row["agent"], _totals(row)) for row in found.iter_rows(named=True))


def models(store: Store, scope: Scope = EVERYTHING) -> tuple[ModelRow, ...]:
    """Give one row a model and provider, the dearest first."""
    found = _grouped(store, "c.model, c.provider", scope)
    return tuple(
        ModelRow(row["model"], row["provider"], _totals(row)) for row in found.iter_rows(named=True)
    )


def sessions(
    store: Store, scope: Scope = EVERYTHING, *, limit: int | None = None, offset: int = 0
) -> tuple[SessionRow, ...]:
    """Give one row a session, the newest first where the source has dates."""
    condition, parameters = scope.condition()
    page = "" if limit is None else f"LIMIT {int(limit)} OFFSET {int(offset)}"
    found = store.frame(
        f"WITH summed AS (SELECT c.session_id, min(c.ordinal) AS first_ordinal, {_SUMS} {_FROM} "
        f"WHERE {condition} GROUP BY c.session_id), "
        "busy AS (SELECT session_id, agent_id, min(step) AS first_step FROM llm_calls "
        "GROUP BY ALL), "
        "roles AS (SELECT session_id, list(name ORDER BY depth, first) AS roles FROM "
        "(SELECT b.session_id, a.name, min(a.parent_agent_id IS NOT NULL) AS depth, "
        "min(b.first_step) AS first FROM busy b JOIN agents a USING (agent_id) GROUP BY ALL) "
        "GROUP BY session_id), "
        "times AS (SELECT session_id, min(started_ns) AS first_ns, "
        "max(started_ns + coalesce(duration_ns, 0)) AS last_ns FROM (SELECT session_id, "
        "started_ns, duration_ns FROM llm_calls UNION ALL SELECT session_id, started_ns, "
        "duration_ns FROM side_calls) GROUP BY ALL), "
        f"said AS ({_SAID}) "
        "SELECT n.session_id, n.name, s.name AS source, r.roles, "
        "coalesce(n.started_ns, t.first_ns) AS started_ns, "
        "greatest(n.ended_ns, t.last_ns) AS ended_ns, coalesce(o.outcome, n.outcome) AS outcome, "
        "o.revenue_usd, said.* EXCLUDE (session_id), summed.* EXCLUDE (session_id) "
        "FROM summed JOIN sessions n USING (session_id) JOIN sources s USING (source_id) "
        "LEFT JOIN roles r USING (session_id) LEFT JOIN times t USING (session_id) "
        "LEFT JOIN said USING (session_id) LEFT JOIN outcomes o USING (session_id) "
        f"ORDER BY started_ns DESC NULLS LAST, first_ordinal {page}",
        parameters,
    )
    return tuple(_session(row) for row in found.iter_rows(named=True))


def session(store: Store, session_id: str) -> SessionRow:
    """Give one session; raises UsageError when it is not there."""
    found = sessions(store, Scope(session_id=session_id))
    if not found:
        raise UsageError(
            f"no session `{session_id}` in this database; list them with  phasewise sessions"
        )
    return found[0]


def labels(store: Store, scope: Scope = EVERYTHING, *, most: int = 12) -> tuple[LabelValue, ...]:
    """Give what people say of the calls in scope: of each label the values with the most calls."""
    condition, parameters = scope.condition()
    query = _LABELS.format(calls=f"{_FROM} WHERE {condition}")
    found = store.frame(query, {**parameters, "most": most})
    return tuple(LabelValue(*row) for row in found.iter_rows())


def calls(
    store: Store, scope: Scope = EVERYTHING, *, limit: int | None = None, offset: int = 0
) -> pl.DataFrame:
    """Give the calls in scope in order of arrival: the columns of `reads.llm_calls`."""
    found = reads.llm_calls(store, scope)
    return found.slice(offset, limit)


def _grouped(store: Store, key: str, scope: Scope) -> pl.DataFrame:
    condition, parameters = scope.condition()
    return store.frame(
        f"SELECT {key}, {_SUMS} {_FROM} WHERE {condition} GROUP BY ALL {_DEAREST_FIRST}",
        parameters,
    )


def _session(row: dict[str, object]) -> SessionRow:
    facts = {name: row[name] for name in SessionRow.__slots__ if name in row}
    roles = row["roles"]
    assert roles is None or isinstance(roles, list)
    for name in ("users", "customers", "versions", "tags"):
        facts[name] = tuple(cast("list[str] | None", row[name]) or ())
    return SessionRow(**facts, agents=tuple(roles or ()), totals=_totals(row))  # type: ignore[arg-type]  # columns of the query


_WHOLE = frozenset(
    name
    for name, kind in Totals.__annotations__.items()
    if kind is int  # sums over no call are no rows, and so null
)


def _totals(row: dict[str, object]) -> Totals:
    return Totals(**{name: row[name] for name in Totals.__slots__})  # type: ignore[arg-type]  # columns of _SUMS

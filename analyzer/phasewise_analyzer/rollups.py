"""Sum the calls' costs by agent, session and model, in SQL over the cells that `analyse` keeps.

Embeddings and rerankings are no calls here: their price stands in other$ and so in the total.
"""

from dataclasses import dataclass
from typing import cast

import polars as pl
from phasewise_store import reads
from phasewise_store.errors import UsageError
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.findings import AgentRow, LabelValue, ModelRow, SessionRow, Totals

_COUNTS = (
    "calls",
    "input_tokens",
    "uncached_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "sent_before_tokens",
    "missed_tokens",
    "unreported_tokens",
    "wasted_tokens",
    "priced_calls",
    "timed_calls",
    "estimated_calls",
    "cache_unknown_calls",
    "ambiguous_calls",
    "side_calls",
    "unpriced_side_calls",
)
_TIMES = ("prefill_ns", "saved_ns", "prefill_low_ns", "prefill_high_ns", "decode_ns", "other_ns")
_MONEY = (
    *("prefill_usd", "prefill_low_usd", "prefill_high_usd", "cached_usd", "unreported_usd"),
    *("missed_usd", "wasted_usd", "decode_usd", "side_usd"),
)
_TOTAL_USD = (
    "coalesce(sum(c.prefill_usd) + sum(c.decode_usd) + sum(c.call_other_usd) "
    "+ coalesce(sum(c.side_usd), 0), sum(c.side_usd)) AS total_usd"
)
_SUMS = ",\n".join(
    (
        "count(DISTINCT c.session_id) AS sessions",
        *(f"coalesce(sum(c.{name}), 0)::BIGINT AS {name}" for name in _COUNTS),
        *(f"sum(c.{name})::BIGINT AS {name}" for name in _TIMES),
        *(f"sum(c.{name}) AS {name}" for name in _MONEY),
        "coalesce(sum(c.call_other_usd) + coalesce(sum(c.side_usd), 0), sum(c.side_usd)) "
        "AS other_usd",
        _TOTAL_USD,
    )
)
_PAGE = """
SELECT t.session_id
FROM session_times t
{chosen}
ORDER BY t.started_ns DESC NULLS LAST, t.first_ordinal, t.session_id
{page}
"""
_SESSIONS = """
WITH roles AS (
    SELECT session_id, list(agent ORDER BY depth, first_step) AS roles
    FROM (
        SELECT session_id, agent, bool_and(is_sub_agent) AS depth, min(first_step) AS first_step
        FROM cells
        WHERE session_id IN (SELECT unnest($ids)) AND calls > 0 AND agent IS NOT NULL
        GROUP BY session_id, agent
    )
    GROUP BY session_id
), said AS (
    SELECT
        c.session_id,
        list_sort(list_distinct(list(c.user_id))) AS users,
        list_sort(list_distinct(list(c.customer) || list(paid.customer))) AS customers,
        list_sort(list_distinct(list(c.version))) AS versions,
        list_sort(list_distinct(flatten(list(c.tags)))) AS tags
    FROM cells c
    LEFT JOIN outcomes paid USING (session_id)
    WHERE c.session_id IN (SELECT unnest($ids))
    GROUP BY c.session_id
), summed AS (
    SELECT c.session_id, {sums}
    FROM cells c
    WHERE c.session_id IN (SELECT unnest($ids)) AND {condition}
    GROUP BY c.session_id
)
SELECT n.session_id, n.name, s.name AS source, r.roles, t.started_ns, t.ended_ns,
       coalesce(o.outcome, n.outcome) AS outcome, o.revenue_usd, said.* EXCLUDE (session_id),
       summed.* EXCLUDE (session_id)
FROM summed
JOIN session_times t USING (session_id)
JOIN sessions n USING (session_id)
JOIN sources s USING (source_id)
LEFT JOIN roles r USING (session_id)
LEFT JOIN said USING (session_id)
LEFT JOIN outcomes o USING (session_id)
ORDER BY t.started_ns DESC NULLS LAST, t.first_ordinal, t.session_id
"""
_LABELS = """
WITH said AS (
    SELECT unnest(['user', 'customer', 'version']) AS label,
           unnest([c.user_id, c.customer, c.version]) AS value, c.calls
    FROM cells c
    WHERE {condition}
    UNION ALL
    SELECT 'tag', unnest(c.tags), c.calls
    FROM cells c
    WHERE {condition}
), counted AS (
    SELECT label, value, sum(calls)::BIGINT AS calls
    FROM said
    WHERE value IS NOT NULL
    GROUP BY label, value
)
SELECT label, value, calls
FROM counted
QUALIFY row_number() OVER (PARTITION BY label ORDER BY calls DESC, value) <= $most
ORDER BY label, calls DESC, value
"""
_DEAREST_FIRST = "ORDER BY total_usd DESC NULLS LAST, input_tokens DESC, calls DESC"


_COUNTED = """
SELECT
    coalesce(sum(c.calls), 0)::BIGINT AS calls,
    coalesce(sum(c.input_tokens), 0)::BIGINT AS input_tokens,
    coalesce(sum(c.priced_calls), 0)::BIGINT AS priced_calls,
    coalesce(sum(c.cache_unknown_calls), 0)::BIGINT AS cache_unknown_calls
FROM cells c
WHERE {condition}
"""
_ROLES = f"""
SELECT
    coalesce(c.agent, 'unknown') AS agent,
    {_TOTAL_USD},
    coalesce(sum(c.input_tokens), 0) AS input_tokens,
    coalesce(sum(c.calls), 0) AS calls
FROM cells c
WHERE {{condition}}
GROUP BY ALL
{_DEAREST_FIRST}
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """A few of `Totals`; planning a query for all of them takes longer than the sums."""

    calls: int
    input_tokens: int
    priced_calls: int
    cache_unknown_calls: int


def counts(store: Store, scope: Scope = EVERYTHING) -> Counts:
    """Count the calls in scope, those with a price, and those whose source reports no cache."""
    condition, parameters = scope.of_cells()
    return Counts(*store.frame(_COUNTED.format(condition=condition), parameters).row(0))


def roles(store: Store, scope: Scope = EVERYTHING) -> tuple[str, ...]:
    """Return the names of the roles in scope, in the order of `agents`."""
    condition, parameters = scope.of_cells()
    return tuple(store.frame(_ROLES.format(condition=condition), parameters)["agent"])


def totals(store: Store, scope: Scope = EVERYTHING) -> Totals:
    """Return the sums over all calls in scope."""
    condition, parameters = scope.of_cells()
    found = store.frame(f"SELECT {_SUMS} FROM cells c WHERE {condition}", parameters)
    return _totals(found.row(0, named=True))


def agents(store: Store, scope: Scope = EVERYTHING) -> tuple[AgentRow, ...]:
    """Return one row a role, the dearest first."""
    found = _grouped(store, "coalesce(c.agent, 'unknown') AS agent", scope)
    return tuple(AgentRow(row["agent"], _totals(row)) for row in found.iter_rows(named=True))


def models(store: Store, scope: Scope = EVERYTHING) -> tuple[ModelRow, ...]:
    """Return one row a model and provider, the dearest first."""
    found = _grouped(store, "c.model, c.provider", scope)
    return tuple(
        ModelRow(row["model"], row["provider"], _totals(row)) for row in found.iter_rows(named=True)
    )


def sessions(
    store: Store, scope: Scope = EVERYTHING, *, limit: int | None = None, offset: int = 0
) -> tuple[SessionRow, ...]:
    """Return one row a session, the newest first where the source has dates."""
    page = "" if limit is None else f"LIMIT {int(limit)} OFFSET {int(offset)}"
    condition, parameters = scope.of_cells()
    chosen = f"SEMI JOIN (SELECT session_id FROM cells c WHERE {condition}) USING (session_id)"
    ids = store.frame(
        _PAGE.format(page=page, chosen="" if scope == EVERYTHING else chosen), parameters
    )
    found = store.frame(
        _SESSIONS.format(sums=_SUMS, condition=condition),
        {**parameters, "ids": ids.get_column("session_id").to_list()},
    )
    return tuple(_session(row) for row in found.iter_rows(named=True))


def session(store: Store, session_id: str) -> SessionRow:
    """Return one session; raises UsageError when it is not there."""
    found = sessions(store, Scope(session_id=session_id))
    if not found:
        raise UsageError(
            f"no session `{session_id}` in this database; list them with  phasewise sessions"
        )
    return found[0]


def labels(store: Store, scope: Scope = EVERYTHING, *, most: int = 12) -> tuple[LabelValue, ...]:
    """Give what people say of the calls in scope: of each label the values with the most calls."""
    condition, parameters = scope.of_cells()
    found = store.frame(_LABELS.format(condition=condition), {**parameters, "most": most})
    return tuple(LabelValue(*row) for row in found.iter_rows())


def calls(
    store: Store, scope: Scope = EVERYTHING, *, limit: int | None = None, offset: int = 0
) -> pl.DataFrame:
    """Return the calls in scope in order of arrival: the columns of `reads.llm_calls`."""
    return reads.llm_calls(store, scope, limit=limit, offset=offset)


def _grouped(store: Store, key: str, scope: Scope) -> pl.DataFrame:
    condition, parameters = scope.of_cells()
    return store.frame(
        f"SELECT {key}, {_SUMS} FROM cells c WHERE {condition} GROUP BY ALL {_DEAREST_FIRST}",
        parameters,
    )


def _session(row: dict[str, object]) -> SessionRow:
    facts = {name: row[name] for name in SessionRow.__slots__ if name in row}
    roles = row["roles"]
    assert roles is None or isinstance(roles, list)
    for name in ("users", "customers", "versions", "tags"):
        facts[name] = tuple(cast("list[str] | None", row[name]) or ())
    return SessionRow(**facts, agents=tuple(roles or ()), totals=_totals(row))  # type: ignore[arg-type]  # columns of the query


def _totals(row: dict[str, object]) -> Totals:
    return Totals(**{name: row[name] for name in Totals.__slots__})  # type: ignore[arg-type]  # columns of _SUMS

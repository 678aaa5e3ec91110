"""The calls behind a line of the ledger, a page at a time: the dearest, or the worst predicted."""

from dataclasses import dataclass
from decimal import Decimal

from phasewise_store.scope import Scope
from phasewise_store.store import Store


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call: what the rule says, and what was reported."""

    call_id: str
    session_id: str
    agent: str
    model: str | None
    step: int
    policy: str | None
    input_tokens: int
    sent_before: int
    predicted_read: int | None
    reported_read: int | None
    difference: int | None
    """reported less predicted"""
    tokens: int | None
    """that have the reason asked for; None where none is"""
    usd: Decimal | None


_ROWS = """
SELECT f.call_id, f.session_id, coalesce(a.name, 'unknown'), c.model, c.step, f.policy,
       c.input_tokens, f.sent_before, f.predicted_read, f.reported_read,
       f.reported_read - f.predicted_read, f.tokens, f.usd
FROM chosen f
JOIN llm_calls c USING (call_id)
LEFT JOIN agents a USING (agent_id)
ORDER BY place
"""

_WORST = """
FROM call_findings f
WHERE f.cell_id IN (SELECT c.cell_id FROM cells c WHERE {condition})
  AND abs(f.reported_read - f.predicted_read) >= f.granularity
"""
_PAGE_OF_WORST = f"""
WITH chosen AS (
    SELECT f.*, NULL::BIGINT AS tokens, NULL::DECIMAL(38, 12) AS usd,
           row_number() OVER (
               ORDER BY abs(f.reported_read - f.predicted_read) DESC, f.ordinal
           ) AS place
    {_WORST}
    ORDER BY abs(f.reported_read - f.predicted_read) DESC, f.ordinal
    LIMIT $limit OFFSET $offset
)
{_ROWS}
"""

_COUNT_OF_REASON = """
SELECT coalesce(sum(r.calls), 0)::BIGINT
FROM cell_reasons r
JOIN cells c USING (cell_id)
WHERE r.reason = $reason AND {condition}
"""
# the dearest calls stand in the cells whose dearest call is dearest: no other cell is looked into
_PAGE_OF_REASON = f"""
WITH dearest AS (
    SELECT r.cell_id
    FROM cell_reasons r
    JOIN cells c USING (cell_id)
    WHERE r.reason = $reason AND {{condition}}
    ORDER BY coalesce(r.most_usd, 0) DESC, r.most_tokens DESC, c.first_ordinal
    LIMIT $limit + $offset
), parts AS (
    SELECT f.ordinal, unnest(f.reasons) AS part
    FROM call_findings f
    WHERE f.cell_id IN (SELECT cell_id FROM dearest)
), page AS (
    SELECT ordinal, part.tokens AS tokens, part.usd AS usd,
           row_number() OVER (
               ORDER BY coalesce(part.usd, 0) DESC, part.tokens DESC, ordinal
           ) AS place
    FROM parts
    WHERE part.reason = $reason
    ORDER BY coalesce(part.usd, 0) DESC, part.tokens DESC, ordinal
    LIMIT $limit OFFSET $offset
), chosen AS (
    SELECT f.*, page.tokens, page.usd, page.place
    FROM page
    JOIN call_findings f USING (ordinal)
)
{_ROWS}
"""


def predicted_worst(
    store: Store, scope: Scope, *, limit: int, offset: int = 0
) -> tuple[int, tuple[CallRow, ...]]:
    """Give how many calls read another amount than their rule says, and a page, worst first."""
    condition, parameters = scope.of_cells()
    worst = _WORST.format(condition=condition)
    there = int(store.frame(f"SELECT count(*) {worst}", parameters).item())
    page = {"limit": limit, "offset": offset}
    rows = store.frame(_PAGE_OF_WORST.format(condition=condition), parameters | page)
    return there, tuple(CallRow(*row) for row in rows.iter_rows())


def of_reason(
    store: Store, scope: Scope, reason: str, *, limit: int, offset: int = 0
) -> tuple[int, tuple[CallRow, ...]]:
    """Give how many calls have tokens with this reason, and a page of them, dearest first."""
    condition, parameters = scope.of_cells()
    asked: dict[str, object] = parameters | {"reason": reason}
    there = int(store.frame(_COUNT_OF_REASON.format(condition=condition), asked).item())
    page = {"limit": limit, "offset": offset}
    rows = store.frame(_PAGE_OF_REASON.format(condition=condition), asked | page)
    return there, tuple(CallRow(*row) for row in rows.iter_rows())

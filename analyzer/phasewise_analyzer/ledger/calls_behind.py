"""The calls behind a line of the ledger, a page at a time: the dearest, or the worst predicted."""

from collections.abc import Sequence
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


_COUNT_OF_WORST = """
SELECT coalesce(sum(c.judged_calls - c.exact_calls), 0)::BIGINT
FROM cells c
WHERE {condition}
"""
_PAGE_OF_WORST = """
SELECT f.rowid, NULL::BIGINT, NULL::DECIMAL(38, 12)
FROM call_findings f
WHERE abs(f.reported_read - f.predicted_read) >= f.granularity
  AND f.cell_id IN (
    SELECT c.cell_id FROM cells c WHERE {condition} AND c.judged_calls > c.exact_calls
  )
ORDER BY abs(f.reported_read - f.predicted_read) DESC, f.ordinal
LIMIT $limit OFFSET $offset
"""

_COUNT_OF_REASON = """
SELECT coalesce(sum(r.calls), 0)::BIGINT
FROM cell_reasons r
JOIN cells c USING (cell_id)
WHERE r.reason = $reason AND {condition}
"""
# the dearest calls stand in the cells whose dearest call is dearest: no other cell is looked into
_DEAREST_CELLS = """
SELECT r.cell_id
FROM cell_reasons r
JOIN cells c USING (cell_id)
WHERE r.reason = $reason AND {condition}
ORDER BY coalesce(r.most_usd, 0) DESC, r.most_tokens DESC, c.first_ordinal
LIMIT $most
"""
# their rows first, by the narrow column: the reasons of all calls are not to be read for a page
_ROWS_OF_CELLS = """
SELECT f.rowid
FROM call_findings f
WHERE f.cell_id IN (SELECT unnest($cells::UBIGINT[]))
"""
_PAGE_OF_REASON = """
SELECT number, part.tokens, part.usd
FROM (
    SELECT f.rowid AS number, f.ordinal, unnest(f.reasons) AS part
    FROM call_findings f
    WHERE f.rowid IN (SELECT unnest($rows::BIGINT[]))
)
WHERE part.reason = $reason
ORDER BY coalesce(part.usd, 0) DESC, part.tokens DESC, ordinal
LIMIT $limit OFFSET $offset
"""

_FINDINGS = """
SELECT rowid, call_id, session_id, policy, sent_before, predicted_read, reported_read
FROM call_findings
WHERE rowid IN (SELECT unnest($rows))
"""
_CALLS = """
SELECT c.call_id, coalesce(a.name, 'unknown'), c.model, c.step, c.input_tokens
FROM llm_calls c
LEFT JOIN agents a USING (agent_id)
WHERE c.call_id IN (SELECT unnest($ids))
"""


def predicted_worst(
    store: Store, scope: Scope, *, limit: int, offset: int = 0
) -> tuple[int, tuple[CallRow, ...]]:
    """Return how many calls read another amount than their rule says, and a page, worst first."""
    condition, parameters = scope.of_cells()
    there = int(store.frame(_COUNT_OF_WORST.format(condition=condition), parameters).item())
    page = store.frame(
        _PAGE_OF_WORST.format(condition=condition),
        parameters | {"limit": limit, "offset": offset},
    )
    return there, _rows(store, page.rows())


def of_reason(
    store: Store, scope: Scope, reason: str, *, limit: int, offset: int = 0
) -> tuple[int, tuple[CallRow, ...]]:
    """Return how many calls have tokens with this reason, and a page of them, dearest first."""
    condition, parameters = scope.of_cells()
    asked: dict[str, object] = parameters | {"reason": reason}
    there = int(store.frame(_COUNT_OF_REASON.format(condition=condition), asked).item())
    cells = store.frame(
        _DEAREST_CELLS.format(condition=condition), asked | {"most": limit + offset}
    )
    rows = store.frame(_ROWS_OF_CELLS, {"cells": cells["cell_id"].to_list()})
    page = store.frame(
        _PAGE_OF_REASON,
        {"rows": rows["rowid"].to_list(), "reason": reason, "limit": limit, "offset": offset},
    )
    return there, _rows(store, page.rows())


def _rows(
    store: Store, page: Sequence[tuple[int, int | None, Decimal | None]]
) -> tuple[CallRow, ...]:
    """Read the rest of some rows of findings, in their order."""
    found = store.frame(_FINDINGS, {"rows": [number for number, _, _ in page]})
    by_row = {row["rowid"]: row for row in found.iter_rows(named=True)}
    ids = {"ids": found["call_id"].to_list()}
    calls = {row[0]: row[1:] for row in store.frame(_CALLS, ids).iter_rows()}
    made = []
    for number, tokens, usd in page:
        row = by_row[number]
        agent, model, step, input_tokens = calls[row["call_id"]]
        predicted, reported = row["predicted_read"], row["reported_read"]
        made.append(
            CallRow(
                call_id=row["call_id"],
                session_id=row["session_id"],
                agent=agent,
                model=model,
                step=step,
                policy=row["policy"],
                input_tokens=input_tokens,
                sent_before=row["sent_before"],
                predicted_read=predicted,
                reported_read=reported,
                difference=None if None in (predicted, reported) else reported - predicted,
                tokens=tokens,
                usd=usd,
            )
        )
    return tuple(made)

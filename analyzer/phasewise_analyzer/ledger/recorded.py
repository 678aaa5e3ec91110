"""The ledger of any scope, added up from the rows that the analysis keeps.

The same facts as `accounting.keep` gives of a whole data set; pages and commands read them here.
Drifts are those of the data sets and models in scope: a part of a data set has none of its own.
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer.groups import By
from phasewise_analyzer.ledger.accounting import in_order
from phasewise_analyzer.ledger.facts import Account, Drift, Explained, Ledger, Line, Part

_WHOLE = """
SELECT
    coalesce(sum(c.calls), 0)::BIGINT AS calls,
    coalesce(sum(c.input_tokens), 0)::BIGINT AS input_tokens,
    sum(c.prefill_usd) AS prefill_usd,
    coalesce(sum(c.judged_calls), 0)::BIGINT AS judged_calls,
    coalesce(sum(c.exact_calls), 0)::BIGINT AS exact_calls
FROM cells c
WHERE {condition}
"""
_LINES = """
SELECT r.reason, sum(r.calls)::BIGINT AS calls, sum(r.tokens)::BIGINT AS tokens,
       sum(r.usd) AS usd, sum(r.extra_usd) AS extra_usd
FROM cell_reasons r
JOIN cells c USING (cell_id)
WHERE {condition}
GROUP BY r.reason
"""
_KEYS: Mapping[By, str] = {
    "session": "c.session_id",
    "agent": "coalesce(c.agent, 'unknown')",
    "model": "coalesce(c.model, 'unknown')",
}
_OF_KEYS = """
SELECT {key} AS key, r.reason, sum(r.calls)::BIGINT AS calls, sum(r.tokens)::BIGINT AS tokens,
       sum(r.usd) AS usd, sum(r.extra_usd) AS extra_usd
FROM cell_reasons r
JOIN cells c USING (cell_id)
WHERE {condition}
GROUP BY ALL
"""
_KEYS_CALLS = """
SELECT {key} AS key, sum(c.calls)::BIGINT AS calls, min(c.first_ordinal) AS first
FROM cells c
WHERE {condition}
GROUP BY ALL
HAVING sum(c.calls) > 0
ORDER BY first
"""
_OF_FILES = """
SELECT p.path AS key, part.reason AS reason, count(*) AS calls, sum(part.tokens)::BIGINT AS tokens,
       sum(part.usd) AS usd, sum(part.extra_usd) AS extra_usd
FROM (
    SELECT f.call_id, unnest(f.reasons) AS part
    FROM call_findings f
    WHERE f.cell_id IN (SELECT c.cell_id FROM cells c WHERE {condition})
)
JOIN llm_calls USING (call_id)
JOIN sources p USING (source_id)
GROUP BY ALL
"""
_FILES_CALLS = """
SELECT p.path AS key, count(*) AS calls, min(l.ordinal) AS first
FROM llm_calls l
JOIN sources p USING (source_id)
WHERE l.session_id IN (SELECT c.session_id FROM cells c WHERE {condition})
  AND l.call_id IN (
    SELECT f.call_id
    FROM call_findings f
    WHERE f.cell_id IN (SELECT c.cell_id FROM cells c WHERE {condition})
  )
GROUP BY ALL
ORDER BY first
"""
_DRIFTS = """
SELECT d.provider, d.model, d.at_ns, d.call_id, d.before, d.after, d.calls, d.p_value
FROM drifts d
WHERE d.call_id IS NOT NULL
  AND EXISTS (
    SELECT 1
    FROM cells c
    WHERE c.source = d.source
      AND c.provider IS NOT DISTINCT FROM d.provider
      AND c.model IS NOT DISTINCT FROM d.model
      AND {condition}
  )
ORDER BY d.source, d.provider, d.model
"""
_EXPLAINED = """
SELECT f.call_id, f.policy, f.sent_before, f.predicted_read, f.reported_read, f.granularity,
       f.reasons
FROM call_findings f
WHERE f.cell_id IN (SELECT c.cell_id FROM cells c WHERE {condition})
ORDER BY f.ordinal
"""


def summary(store: Store, scope: Scope = EVERYTHING) -> Ledger:
    """Return what the ledger of a scope adds up to, with no call explained."""
    condition, parameters = scope.of_cells()
    whole = store.frame(_WHOLE.format(condition=condition), parameters).row(0, named=True)
    lines = store.frame(_LINES.format(condition=condition), parameters)
    drifts = store.frame(_DRIFTS.format(condition=condition), parameters)
    return Ledger(
        **whole,
        lines=_lines(lines),
        drifts=tuple(Drift(**row) for row in drifts.iter_rows(named=True)),
        accounts=(),
        explained=(),
    )


def accounts(store: Store, scope: Scope, by: By) -> tuple[Account, ...]:
    """Return the ledger of each group in scope, in the order of their first calls."""
    condition, parameters = scope.of_cells()
    lines, calls = (_OF_FILES, _FILES_CALLS) if by == "file" else (_OF_KEYS, _KEYS_CALLS)
    words = {"condition": condition, "key": _KEYS.get(by, "")}
    of_key = store.frame(lines.format(**words), parameters).partition_by("key", as_dict=True)
    empty = pl.DataFrame(
        schema=dict.fromkeys(("reason", "calls", "tokens", "usd", "extra_usd"), pl.Null())
    )
    found = []
    for key, number, _ in store.frame(calls.format(**words), parameters).iter_rows():
        made = _lines(of_key.get((key,), empty))
        found.append(Account(key, number, sum(line.tokens for line in made), made))
    return tuple(found)


def explained(store: Store, scope: Scope = EVERYTHING) -> tuple[Explained, ...]:
    """Return each call in scope explained, in order of arrival."""
    condition, parameters = scope.of_cells()
    rows = store.frame(_EXPLAINED.format(condition=condition), parameters)
    return tuple(
        Explained(
            row=place,
            parts=tuple(Part(**part) for part in row.pop("reasons")),
            **row,
        )
        for place, row in enumerate(rows.iter_rows(named=True))
    )


def whole(store: Store, scope: Scope = EVERYTHING, *, by: By | None = None) -> Ledger:
    """Give the ledger of a scope with each call explained, and that of each group if asked for."""
    return replace(
        summary(store, scope),
        accounts=() if by is None else accounts(store, scope, by),
        explained=explained(store, scope),
    )


def _lines(found: pl.DataFrame) -> tuple[Line, ...]:
    columns = ("reason", "calls", "tokens", "usd", "extra_usd")
    return in_order(Line(*row) for row in found.select(columns).iter_rows())

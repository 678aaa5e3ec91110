"""Keep the drifts of a data set: looked for as it is analysed, never as a page is shown.

A permutation test over every call of a model is no work for each batch: it is done again once a
tenth more calls have come.
"""

import numpy as np
import polars as pl
from phasewise_store.statements import insert_frame, run
from phasewise_store.store import Store

from phasewise_analyzer.ledger import drift

_COUNTED = """
SELECT c.provider, c.model, sum(c.judged_calls)::BIGINT AS judged, any_value(d.judged) AS before
FROM cells c
LEFT JOIN drifts d
  ON d.source = c.source
 AND d.provider IS NOT DISTINCT FROM c.provider
 AND d.model IS NOT DISTINCT FROM c.model
WHERE c.source = $source
GROUP BY c.provider, c.model
"""
_UNTIMED = "SELECT 1 FROM cells WHERE source = $source AND hour IS NULL AND calls > 0 LIMIT 1"
_SERIES = """
SELECT l.call_id, l.started_ns, f.reported_read / f.predicted_read AS share
FROM call_findings f
JOIN llm_calls l USING (call_id)
WHERE f.cell_id IN (
    SELECT c.cell_id
    FROM cells c
    WHERE c.source = $source
      AND c.provider IS NOT DISTINCT FROM $provider
      AND c.model IS NOT DISTINCT FROM $model
  )
  AND f.predicted_read > 0
  AND f.reported_read IS NOT NULL
ORDER BY {order}
"""
_FORGET = """
DELETE FROM drifts
WHERE source = $source
  AND provider IS NOT DISTINCT FROM $provider
  AND model IS NOT DISTINCT FROM $model
"""
_DRIFTS = {
    "source": pl.String(),
    "provider": pl.String(),
    "model": pl.String(),
    "judged": pl.Int64(),
    "calls": pl.Int64(),
    "call_id": pl.String(),
    "at_ns": pl.Int64(),
    "before": pl.Float64(),
    "after": pl.Float64(),
    "p_value": pl.Float64(),
}


def refresh(store: Store, source: str) -> None:
    """Look again for the drifts of a data set's models that have a tenth more calls, or fewer."""
    for provider, model, judged, before in store.frame(_COUNTED, {"source": source}).iter_rows():
        grown = before is None or judged < before or judged >= before + max(1, before // 10)
        if judged and grown:
            made = _found(store, source, provider, model)
            with store.transaction() as connection:
                names = {"source": source, "provider": provider, "model": model}
                run(connection, _FORGET, names)
                frame = pl.DataFrame([names | {"judged": judged} | made], schema=_DRIFTS)
                insert_frame(connection, "drifts", frame, "INSERT")


def _found(store: Store, source: str, provider: str | None, model: str | None) -> dict[str, object]:
    untimed = store.frame(_UNTIMED, {"source": source}).height
    order = "l.ordinal" if untimed else "l.started_ns, l.ordinal"
    series = store.frame(
        _SERIES.format(order=order), {"source": source, "provider": provider, "model": model}
    )
    found = drift.find(np.minimum(series["share"].to_numpy(), 1.0))
    facts: dict[str, object] = {"calls": series.height}
    if found is not None:
        facts["call_id"], facts["at_ns"], _ = series.row(found.at)
        facts |= {"before": found.before, "after": found.after, "p_value": found.p_value}
    return facts

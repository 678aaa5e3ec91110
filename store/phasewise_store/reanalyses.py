"""How far an analysis by another version is: the table `reanalyses`, empty where none is under way.

Who analyses writes it; pages and commands date their numbers by it. A data set is done when
`finding_rows.say_analysed` is called.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from phasewise_store.statements import run
from phasewise_store.store import Store

_DUE = """
SELECT a.source, $version, count(*), 0
FROM analysed_sources a
JOIN sources s ON s.name = a.source
JOIN llm_calls c USING (source_id)
WHERE a.version <> $version
GROUP BY a.source
"""
_UNDER_WAY = """
SELECT
    min(a.analysed_at) FILTER (r.done_calls < r.calls) AS analysed_at,
    string_agg(DISTINCT a.version, '; ' ORDER BY a.version) FILTER (r.done_calls < r.calls)
        AS version,
    sum(r.done_calls)::BIGINT AS done_calls,
    sum(r.calls)::BIGINT AS calls
FROM reanalyses r
JOIN analysed_sources a USING (source)
WHERE $source IS NULL OR r.source = $source
"""
_IS_DUE = "SELECT 1 FROM analysed_sources WHERE version <> $version LIMIT 1"


@dataclass(frozen=True, slots=True)
class Reanalysis:
    """What numbers are of while an analysis by another version is under way."""

    analysed_at: datetime
    """UTC; of the oldest data set that is not done"""
    version: str
    """by which it was analysed then"""
    done_calls: int
    calls: int


def announce(store: Store, version: str) -> None:
    """Note which data sets are to be analysed by this version, with none of their calls done."""
    if not store.frame(_IS_DUE, {"version": version}).height:
        return
    with store.transaction() as connection:
        run(connection, "DELETE FROM reanalyses")
        run(connection, f"INSERT INTO reanalyses {_DUE}", {"version": version})


def say_done(store: Store, source: str, calls: int) -> None:
    """Note how many calls of a data set are done; the last one only with all of its rows."""
    with store.transaction() as connection:
        run(
            connection,
            "UPDATE reanalyses SET done_calls = least($done, calls - 1) WHERE source = $source",
            {"done": calls, "source": source},
        )


def under_way(store: Store, source: str | None = None) -> Reanalysis | None:
    """Return how far it is for one data set, or for all; None where all of it is done."""
    at, version, done, calls = store.frame(_UNDER_WAY, {"source": source}).row(0)
    return None if at is None else Reanalysis(at.replace(tzinfo=UTC), version, done, calls)

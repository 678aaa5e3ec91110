"""What was found of a call lives as long as its costs, and says of the call what the call says."""

from dataclasses import replace

import polars as pl
from phasewise_store import finding_rows, findings
from phasewise_store.finding_rows import BREAKS, FINDINGS
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session


def keep(store: Store, ordinals: list[int], broken: list[int]) -> None:
    """Keep findings of these calls, and a break of some."""
    found = pl.DataFrame(
        [(one, 10, 5, 5, None, None, None, 1, False, False, None, None, []) for one in ordinals],
        schema=FINDINGS,
        orient="row",
    )
    row = ("x", 1.0, "clock", True, "system", "system[0]", "system[0]", "a", "b", 9, 4, None, 5)
    breaks = pl.DataFrame([(one, *row, None, None) for one in broken], schema=BREAKS, orient="row")
    with store.transaction() as connection:
        finding_rows.save(connection, found, breaks)


def test_rows_carry_what_the_call_says(store: Store) -> None:
    """Session, data set, agent and step are the call's; one cell for calls of one hour."""
    store.write(growing_session(3))
    keep(store, [1, 2, 3], [2])
    calls = store.frame("SELECT call_id, session_id FROM llm_calls ORDER BY ordinal")
    rows = findings.of_calls(store)
    assert rows.select("call_id", "session_id").rows() == calls.rows()
    assert rows["cell_id"].n_unique() == 1
    (found,) = findings.breaks(store).iter_rows(named=True)
    assert (found["call_id"], found["step"]) == (calls["call_id"][1], 1)
    assert found["cell_id"] == rows["cell_id"][0]


def test_a_call_that_is_found_sound_again_loses_its_break(store: Store) -> None:
    """Saving anew replaces; what is no break any more is gone."""
    store.write(growing_session(2))
    keep(store, [1, 2], [1, 2])
    keep(store, [2], [])
    assert findings.breaks(store)["ordinal"].to_list() == [1]
    assert findings.of_calls(store)["ordinal"].to_list() == [1, 2]


def test_a_call_that_is_described_better_is_to_be_judged_again(store: Store) -> None:
    """Its findings go with its costs; the other calls keep theirs."""
    batch = growing_session(2)
    store.write(batch)
    keep(store, [1, 2], [1, 2])
    store.rewrite(replace(batch, llm_calls=batch.llm_calls[:1]))
    assert findings.of_calls(store)["ordinal"].to_list() == [2]
    assert findings.breaks(store)["ordinal"].to_list() == [2]

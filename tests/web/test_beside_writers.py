"""What is put together from several queries is of one moment, whatever is written meanwhile."""

import threading
from collections.abc import Mapping, Sequence
from itertools import count

import polars as pl
import pytest
from phasewise_analyzer.analyse import analyse
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session
from tests.web.client import client


class BusyStore(Store):
    """A store into which another thread writes a session after every read."""

    def frame(
        self,
        query: str,
        parameters: Mapping[str, object] | Sequence[object] | None = None,
        *,
        tables: Mapping[str, pl.DataFrame] | None = None,
    ) -> pl.DataFrame:
        """Read, and let a session come."""
        found = super().frame(query, parameters, tables=tables)
        another = growing_session(3, f"later-{next(_NUMBERS)}")
        writer = threading.Thread(target=self.write, args=(another,))
        writer.start()
        writer.join()
        return found


_NUMBERS = count()


def busy() -> BusyStore:
    """Give a busy store with a session in it."""
    store = BusyStore.in_memory()
    store.write(growing_session(4, "first"))
    return store


def test_an_analysis_beside_a_writer_fits_together() -> None:
    """A call that comes between its reads is analysed whole, or left whole to the next analysis."""
    with busy() as store:
        analyse(store)
        ((first, calls, costs, findings),) = store.frame(
            "SELECT count(*) FILTER (c.session_id = 'first' AND k.call_id IS NOT NULL), count(*), "
            "count(k.call_id), count(f.call_id) FROM llm_calls c "
            "LEFT JOIN call_costs k USING (call_id) LEFT JOIN call_findings f USING (call_id)"
        ).rows()
        assert first == 4
        assert costs == findings < calls


@pytest.mark.parametrize(
    "path", ["agents", "sessions", "prefixes", "prefixes/flame", "breaks", "ledger", "structure"]
)
def test_a_page_beside_a_writer_fits_together(path: str) -> None:
    """A page shows one moment."""
    with busy() as store:
        answer = client(store).get(f"/{path}.json")
        assert answer.status_code == 200, answer.text

"""Pages add up kept rows: none of their queries reads the calls themselves."""

from collections.abc import Mapping, Sequence

import polars as pl
import pytest
from phasewise_analyzer.analyse import analyse, analyse_again
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session
from tests.web.client import client

READS_ALL = ("FROM llm_calls", "JOIN llm_calls", "FROM nodes", "JOIN nodes", "FROM call_costs")
PAGES = (
    *("/", "/agents.json", "/sessions", "/sessions.json", "/sessions/s1", "/sessions/s1.json"),
    *("/calls/s1-0", "/calls/s1-0.json", "/breaks", "/breaks.json", "/ledger", "/ledger.json"),
    *("/prefixes/flame", "/prefixes/flame.json", "/structure", "/structure.json"),
)
LOOKED_AT = {"/": True, "/agents.json": True, "/nowhere": False, "/static/style.css": False}
"""whether each is a page"""
COUNTS = "SELECT count(*) FROM llm_calls"
"""takes no time: DuckDB knows how many rows a table has"""
NAMED = "WHERE c.call_id IN (SELECT unnest($ids))"
"""the calls of one page of a list"""


class RecordingStore(Store):
    """A store that keeps what it is asked."""

    asked: list[str]

    def frame(
        self,
        query: str,
        parameters: Mapping[str, object] | Sequence[object] | None = None,
        *,
        tables: Mapping[str, pl.DataFrame] | None = None,
    ) -> pl.DataFrame:
        """Keep the query and run it."""
        self.asked.append(query)
        return super().frame(query, parameters, tables=tables)


@pytest.mark.parametrize("path", ["/", "/sessions", "/breaks", "/ledger"])
@pytest.mark.parametrize("scope", ["", "?source=sample", "?session=s1", "?agent=main"])
def test_no_query_of_a_page_reads_all_calls(path: str, scope: str) -> None:
    """Whatever part of the store is asked for; calls are read by their ids, or only counted."""
    with RecordingStore.in_memory() as store:
        store.asked = []
        for session in ("s1", "s2"):
            store.write(growing_session(3, session))
        analyse(store)
        store.asked = []
        assert client(store).get(f"{path}{scope}").status_code == 200
        assert store.asked
        for query in store.asked:
            rest = query.replace(COUNTS, "")
            assert NAMED in rest or not any(words in rest for words in READS_ALL), query


def test_a_response_says_how_long_the_server_took() -> None:
    """`Server-Timing`, in milliseconds, on pages, on JSON and elsewhere; of a page its CPU, too."""
    with Store.in_memory() as store:
        pages = client(store)
        for path, is_page in LOOKED_AT.items():
            said = pages.get(path).headers["server-timing"].split(", ")
            took = {name: float(ms) for name, _, ms in (one.partition(";dur=") for one in said)}
            assert took["total"] >= 0
            assert ("cpu" in took) is is_page


def test_a_page_says_how_far_the_analysis_is() -> None:
    """Calls that wait are named as long as they wait, and on the JSON twin, too."""
    with Store.in_memory() as store:
        store.write(growing_session(3, "s1"))
        analyse(store)
        store.write(growing_session(2, "s2"))
        waiting = "3 of 5 calls are analysed"
        for path in ("/", "/sessions", "/breaks?source=sample", "/ledger?source=sample"):
            assert waiting in client(store).get(path).text
        assert waiting in client(store).get("/agents.json").text
        analyse(store)
        assert "calls are analysed" not in client(store).get("/").text


def test_pages_say_when_their_numbers_are_of() -> None:
    """While another version analyses: the date, the version then, and how far it is; then not."""
    with Store.in_memory() as store:
        store.write(growing_session(3, "s1"))
        analyse(store)
        with store.transaction() as connection:
            connection.execute(
                "UPDATE analysed_sources SET version = 'code 1', "
                "analysed_at = TIMESTAMP '2026-11-28 14:03:00'"
            )
        said: list[dict[str, str]] = []

        def ask() -> bool:
            said.append({path: client(store).get(path).text for path in PAGES})
            return True

        analyse_again(store, go_on=ask)
        note = (
            "Numbers as of 2026-11-28 14:03 UTC, analysed with code 1; "
            "0 of 3 calls re-analysed so far."
        )
        assert {path for path, text in said[0].items() if note in text} == set(PAGES)
        for path in PAGES:
            assert "Numbers as of" not in client(store).get(path).text


def test_other_data_sets_are_not_dated_by_one_that_is_analysed_again() -> None:
    """A page about a data set speaks of that one, and one about all of them of all."""
    with Store.in_memory() as store:
        store.write(growing_session(3, "s1"))
        analyse(store)
        with store.transaction() as connection:
            connection.execute("INSERT INTO analysed_sources VALUES ('x', 'code 1', now())")
            connection.execute("INSERT INTO reanalyses VALUES ('x', 'code 2', 20, 10)")
        assert "10 of 20 calls re-analysed so far" in client(store).get("/agents.json").text
        assert "re-analysed" not in client(store).get("/agents.json?source=sample").text

"""Judge calls as they come, each by those that came before it: a batch costs what is new in it.

The process that loads live traces keeps one `LiveFindings` for each data set that it analyses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer.breaks.compared import Compared
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.predictions import Prediction
from phasewise_analyzer.call_findings.judge import Judged, judge
from phasewise_analyzer.call_findings.live_calls import LiveCalls, Placed


class LiveFindings:
    """One data set, whose calls are judged in the order in which they come."""

    def __init__(self, store: Store, source: str, book: Book) -> None:
        """Begin with none of its calls."""
        self._store = store
        self._source = source
        self._calls = LiveCalls(store, book)
        self._newest = reads.newest_node(store)
        self._calls.tree.expect(reads.stored_nodes(store, Scope(source=source)))

    def catch_up(self) -> None:
        """Take in the calls that are analysed already."""
        known = reads.analysed_calls(self._store, self._source)
        self._calls.take(known.iter_rows(named=True))

    def place(self, new: pl.DataFrame) -> list[Placed]:
        """Put new calls among the known ones: columns of `reads.llm_calls`, in order of arrival."""
        newest = reads.newest_node(self._store)
        if newest > self._newest:
            self._calls.tree.expect(reads.nodes_after(self._store, self._newest))
            self._newest = newest
        return self._calls.take(new.iter_rows(named=True))

    def predictions(self, placed: Sequence[Placed]) -> list[Prediction]:
        """Return what the rules say of placed calls with a known prompt."""
        return [
            Prediction(row, one.sent_before, one.policy, one.served)
            for row, one in enumerate(placed)
            if one.leaf >= 0
        ]

    def judge(self, new: pl.DataFrame, placed: Sequence[Placed]) -> Judged:
        """Return the rows of placed calls; their costs are among the columns."""
        others = {
            number
            for one in placed
            for number in (one.previous, one.template, one.parent, one.nearest)
        }
        known = set(new["ordinal"].to_list())
        earlier = reads.calls_at(self._store, sorted(others - known - {-1}))
        rows: list[dict[str, Any]] = [*new.iter_rows(named=True), *earlier.iter_rows(named=True)]
        compared = self._compared(rows, placed)
        return judge(
            self._store,
            compared,
            self.predictions(placed),
            wanted=range(len(placed)),
            first=[row for row, one in enumerate(placed) if one.is_first],
        )

    def _compared(self, rows: Sequence[Mapping[str, Any]], placed: Sequence[Placed]) -> Compared:
        """Put the calls beside their predecessors, which stand behind them and have none here."""
        at = {row["ordinal"]: place for place, row in enumerate(rows)} | {-1: -1}
        more = [Placed(row["ordinal"]) for row in rows[len(placed) :]]
        every = [*placed, *more]
        calls, tree = self._calls, self._calls.tree

        def of(name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
            return np.array([at[getattr(one, name)] for one in every], dtype=np.int64)

        def last_role(row: int) -> str:
            return tree.role[calls.leaf(rows[row]["ordinal"])]

        return Compared(
            rows=rows,
            block_tokens=np.array([row["block_tokens"] or 0 for row in rows], dtype=np.int64),
            whole=np.array(
                [one.whole for one in placed] + [calls.whole(one.ordinal) for one in more],
                dtype=np.int64,
            ),
            has_prompt=np.array([one.leaf >= 0 for one in every], dtype=np.bool_),
            previous=of("previous"),
            template=of("template"),
            parent=of("parent"),
            nearest=of("nearest"),
            shared=np.array([one.shared for one in every], dtype=np.int64),
            with_previous=np.array([one.with_previous for one in every], dtype=np.int64),
            goes_on=np.array([one.goes_on for one in every], dtype=np.bool_),
            is_deep=np.array([one.is_deep for one in every], dtype=np.bool_),
            last_role=last_role,
            segments=lambda row: tree.segments(calls.leaf(rows[row]["ordinal"])),
        )

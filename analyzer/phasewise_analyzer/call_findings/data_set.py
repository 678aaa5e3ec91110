"""Judge all calls of a data set at once, as an import leaves them: in the order of their start."""

import polars as pl
from phasewise_store.store import Store

from phasewise_analyzer.breaks import compared
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.predictions import Step
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.call_findings.judge import Judged, judge
from phasewise_analyzer.ledger.accounting import first_of_streams
from phasewise_analyzer.prefixes.placed_tree import PlacedTree


def judge_all(
    store: Store, calls: pl.DataFrame, placed: PlacedTree, book: Book, *, step: Step | None = None
) -> Judged:
    """Give the rows of a data set's calls: columns of `reads.llm_calls`, costs among them."""
    requests = Requests(store, known=(calls, placed))
    return judge(
        store,
        compared.all_of(requests),
        predictions.predict(requests, book, step=step),
        wanted=range(calls.height),
        first=first_of_streams(calls),
    )

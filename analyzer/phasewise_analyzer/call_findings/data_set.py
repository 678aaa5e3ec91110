"""Judge all calls of a data set at once, as an import leaves them: in the order of their start."""

from phasewise_store.store import Store

from phasewise_analyzer.breaks import compared
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.predictions import Step
from phasewise_analyzer.caches.requests import Known, Requests
from phasewise_analyzer.call_findings.judge import Judged, judge
from phasewise_analyzer.ledger.accounting import first_of_streams


def judge_all(store: Store, known: Known, book: Book, *, step: Step | None = None) -> Judged:
    """Give the rows of a data set's calls, whose costs are known."""
    requests = Requests(store, known=known)
    return judge(
        store,
        compared.all_of(requests),
        predictions.predict(requests, book, step=step),
        wanted=range(known.calls.height),
        first=first_of_streams(known.calls),
    )

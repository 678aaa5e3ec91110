"""Judge all calls of a data set at once, as an import leaves them: in the order of their start."""

from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer.breaks import compared
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.call_findings.judge import Judged, judge
from phasewise_analyzer.ledger.accounting import first_of_streams


def judge_all(store: Store, source: str, book: Book) -> Judged:
    """Give the rows of a data set's calls; their costs must have been analysed."""
    requests = Requests(store, Scope(source=source))
    return judge(
        store,
        compared.all_of(requests),
        predictions.predict(requests, book),
        wanted=range(requests.calls.height),
        first=first_of_streams(requests.calls),
    )

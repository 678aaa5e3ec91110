"""Judge all calls of a data set at once, as an import leaves them: in the order of their start."""

from collections.abc import Sequence
from dataclasses import replace

from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer.breaks import compared
from phasewise_analyzer.caches.predictions import Prediction
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.call_findings.judge import Judged, judge
from phasewise_analyzer.ledger.accounting import first_of_streams


def judge_all(
    store: Store, source: str, requests: Requests, predicted: Sequence[Prediction]
) -> Judged:
    """Give the rows of a data set's calls; their costs must have been analysed.

    `requests` and `predicted` are of all its calls and may have been made before the costs were:
    these are read now.
    """
    rows = reads.llm_calls(store, Scope(source=source)).rows(named=True)
    return judge(
        store,
        replace(compared.all_of(requests), rows=rows),
        [replace(one, sent_before=rows[one.row]["sent_before_tokens"]) for one in predicted],
        wanted=range(len(rows)),
        first=first_of_streams(requests.calls),
    )

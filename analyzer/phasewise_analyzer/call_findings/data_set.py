"""Judge all calls of a data set at once, as an import leaves them: in the order of their start."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
from phasewise_store.store import Store

from phasewise_analyzer.breaks import compared
from phasewise_analyzer.caches.predictions import Prediction
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.call_findings.judge import Judged, judge
from phasewise_analyzer.ledger.accounting import first_of_streams


def judge_all(
    store: Store, calls: pl.DataFrame, requests: Requests, predicted: Sequence[Prediction]
) -> Judged:
    """Return the rows of a data set's calls: columns of `reads.llm_calls`, costs among them.

    `requests` and `predicted` are of the same calls, and may have been made before the costs were.
    """
    return judge(
        store,
        replace(compared.all_of(requests), rows=calls.rows(named=True)),
        predicted,
        wanted=range(calls.height),
        first=first_of_streams(calls),
    )

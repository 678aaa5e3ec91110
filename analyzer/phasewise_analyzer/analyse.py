"""Analyse the calls that are new: price by phase, wait by phase, what was sent before, breaks.

Import commands and the live loader call it after every batch; its results are the tables
`call_costs`, `call_findings` and `breaks`, which roll-ups and pages read.
"""

from collections.abc import Callable, Sequence

import polars as pl
from phasewise_store import costs, finding_rows
from phasewise_store.facts import LIVE
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer import call_costs, latency_fit, side_charges
from phasewise_analyzer.caches import book as cache_policies
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.predictions import Prediction
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.call_findings.data_set import judge_all
from phasewise_analyzer.call_findings.version import version
from phasewise_analyzer.latency_fit import ShareModel
from phasewise_analyzer.prefixes.live_prefix_index import LivePrefixIndex
from phasewise_analyzer.prices import PriceBook

Step = Callable[[int, int, str], None]
"""how many of how many calls are done, and of which data set"""

MOST_TIMED = 2_000
"""of the last calls whose first token was seen, to fit the waits of new ones on"""


class Memory:
    """What a process that analyses again and again keeps, so that it reads only what is new."""

    def __init__(self) -> None:
        self._sources: dict[str, LivePrefixIndex] = {}

    def of(self, store: Store, source: str) -> LivePrefixIndex:
        """Give the memory of a data set; made of what is analysed when it is first asked for."""
        if source not in self._sources:
            self._sources[source] = LivePrefixIndex(store, source)
        return self._sources[source]


def analyse(store: Store, *, memory: Memory | None = None, step: Step | None = None) -> int:
    """Fill in costs and findings of every call that has none; give their number.

    Calls that a collector receives are left to the process that owns the store: it has in memory
    what they are compared with.
    """
    waiting = costs.unanalysed(store)
    if store.is_shared:
        waiting = waiting.filter(pl.col("source") != LIVE)
    total = int(waiting["calls"].sum())
    done = 0
    prices, policies = PriceBook(), cache_policies.read()
    side_charges.price(store, prices)
    for source, calls in waiting.iter_rows():
        if step is not None:
            step(done, total, f"analysing {source}")
        with store.snapshot():
            requests = Requests(store, Scope(source=source))
        predicted = predictions.predict(requests, policies)
        found = _found(requests, predicted)
        new = found.filter(pl.col("latency_basis").is_null())
        costs.save(store, call_costs.of_calls(new, _share_model(found), prices))
        judged = judge_all(store, source, requests, predicted)
        with store.transaction() as connection:
            finding_rows.save(connection, judged.findings, judged.breaks)
            finding_rows.say_analysed(connection, source, version(policies))
        done += calls
    if step is not None and total:
        step(total, total, "")
    return done


def _found(requests: Requests, predicted: Sequence[Prediction]) -> pl.DataFrame:
    """Give the calls with what was found of their prompts: `sent_before` and `PREDICTED`."""
    by_row = {one.row: one for one in predicted}
    rows = []
    for row in range(requests.calls.height):
        one = by_row.get(row)
        billed = None if one is None else one.billed()
        rows.append(
            (
                0 if one is None else one.sent_before,
                *(
                    (None,) * len(call_costs.PREDICTED)
                    if billed is None
                    else (billed.policy, billed.read, billed.written_5m, billed.written_1h)
                ),
            )
        )
    schema = {"sent_before": pl.Int64(), **call_costs.PREDICTED}
    return requests.calls.hstack(pl.DataFrame(rows, schema=schema, orient="row"))


def _share_model(calls: pl.DataFrame) -> ShareModel | None:
    """Fit on the source's own calls whose first token was seen; None where they are too few."""
    times = pl.col("ttft_ns", "duration_ns").is_not_null()
    seen = calls.filter(pl.all_horizontal(times))
    return latency_fit.fit(
        call_costs.sizes(seen),
        seen["ttft_ns"].to_numpy() / 1e9,
        seen["duration_ns"].to_numpy() / 1e9,
    )

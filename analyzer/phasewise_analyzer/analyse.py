"""Analyse the calls that are new: price by phase, wait by phase, what was sent before.

Import commands and the live loader call it after every batch; its results are the table
`call_costs`, which roll-ups and pages read.
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import polars as pl
from phasewise_store import costs, reads
from phasewise_store.facts import LIVE
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer import call_costs, latency_fit, side_charges
from phasewise_analyzer.caches import book as policy_book
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.predictions import Prediction
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.latency_fit import ShareModel
from phasewise_analyzer.prefixes import hit_rates, prefix_tree, shared_prefixes
from phasewise_analyzer.prefixes.live_prefix_index import LivePrefixIndex, new_calls
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
    """Fill in the costs of every call that has none; give their number.

    Calls that a collector receives are left to the process that owns the store: it has in memory
    what they are compared with.
    """
    waiting = costs.unanalysed(store)
    if store.is_shared:
        waiting = waiting.filter(pl.col("source") != LIVE)
    total = int(waiting["calls"].sum())
    done = 0
    prices, rules = PriceBook(), policy_book.read()
    side_charges.price(store, prices)
    for source, calls in waiting.iter_rows():
        if step is not None:
            step(done, total, f"analysing {source}")
        found = None if memory is None else _of_memory(store, source, memory.of(store, source))
        new, model = found or _of_source(store, source, rules)
        costs.save(store, call_costs.of_calls(new, model, prices))
        done += calls
    if step is not None and total:
        step(total, total, "")
    return done


def _of_source(store: Store, source: str, rules: Book) -> tuple[pl.DataFrame, ShareModel | None]:
    """Give a source's new calls with what is found of their prompts, and the split of waits.

    All calls of the source are read: the older ones are what the new ones are compared with.
    """
    scope = Scope(source=source)
    with store.snapshot():
        calls = reads.llm_calls(store, scope)
        tree = prefix_tree.read(store, scope)
        calls = calls.with_columns(sent_before=_sent_before(calls, tree))
        is_new = calls["latency_basis"].is_null()
        unreported = is_new & ~calls["cache_reported"]
        judged = predictions.predict(Requests(store, scope), rules) if unreported.any() else ()
    seen = calls.filter(pl.col("ttft_ns").is_not_null() & pl.col("duration_ns").is_not_null())
    return calls.with_columns(_predicted(calls.height, judged)).filter(is_new), _share_model(seen)


def _predicted(height: int, judged: Iterable[Prediction]) -> list[pl.Series]:
    """Give the columns of what the rules predict, one entry a call."""
    rows: list[tuple[object, ...]] = [(None,) * len(call_costs.PREDICTED)] * height
    for one in judged:
        if (found := one.billed()) is not None:
            rows[one.row] = found.policy, found.read, found.written_5m, found.written_1h
    columns = zip(*rows, strict=True) if rows else ((),) * len(call_costs.PREDICTED)
    return [
        pl.Series(name, values, dtype)
        for (name, dtype), values in zip(call_costs.PREDICTED.items(), columns, strict=True)
    ]


def _of_memory(
    store: Store, source: str, sent: LivePrefixIndex
) -> tuple[pl.DataFrame, ShareModel | None] | None:
    """Give the same from memory, of which the new calls become a part; None where it cannot say."""
    new = reads.waiting_calls(store, source)
    sent_before = sent.take(new_calls(new))
    if sent_before is None:
        return None
    new = new.with_columns(
        *_predicted(new.height, ()), sent_before=pl.Series(sent_before, dtype=pl.Int64)
    )
    columns = (
        *("input_tokens", "output_tokens", "cache_reported", "cache_read_tokens", "sent_before"),
    )
    times = ("ttft_ns", "duration_ns")
    seen = pl.concat(
        [
            reads.timed_calls(store, source, MOST_TIMED)
            .rename({"sent_before_tokens": "sent_before"})
            .select(*columns, *times),
            new.filter(pl.all_horizontal(pl.col(times).is_not_null())).select(*columns, *times),
        ]
    )
    return new, _share_model(seen)


def _sent_before(calls: pl.DataFrame, tree: prefix_tree.PrefixTree) -> npt.NDArray[np.int64]:
    """Give the tokens of each prompt that an earlier call had sent to the same model.

    A cache belongs to one model: what another one read saves nothing.
    """
    block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
    whole = hit_rates.prompts(tree, calls["input_tokens"].to_numpy(), block_tokens)
    models = calls.select(pl.struct("provider", "model").rank("dense") - 1).to_series()
    before = shared_prefixes.any_earlier(tree, models.to_numpy().astype(np.int64))
    return hit_rates.shared(tree, whole, block_tokens, before).tokens


def _share_model(seen: pl.DataFrame) -> ShareModel | None:
    """Fit on the source's own calls whose first token was seen; None where they are too few."""
    return latency_fit.fit(
        call_costs.sizes(seen),
        seen["ttft_ns"].to_numpy() / 1e9,
        seen["duration_ns"].to_numpy() / 1e9,
    )

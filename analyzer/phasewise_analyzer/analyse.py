"""Analyse the calls that are new: price by phase, wait by phase, what was sent before, breaks.

Import commands and the live loader call it after every batch; its results are the tables
`call_costs`, `call_findings` and `breaks`, which roll-ups and pages read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from phasewise_store import billing, cells, costs, finding_rows, reads
from phasewise_store.facts import LIVE, Usage
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer import bill, charges, latency, latency_fit, side_charges
from phasewise_analyzer.caches import book as cache_policies
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.call_findings.data_set import judge_all
from phasewise_analyzer.call_findings.judge import Judged
from phasewise_analyzer.call_findings.live import LiveFindings
from phasewise_analyzer.call_findings.version import version
from phasewise_analyzer.latency_fit import ShareModel
from phasewise_analyzer.ledger import recorded_drifts
from phasewise_analyzer.prefixes import (
    hit_rates,
    kept_reuse,
    placed_tree,
    prefix_tree,
    shared_prefixes,
)
from phasewise_analyzer.prices import PriceBook

Step = Callable[[int, int, str], None]
"""how many of how many calls are done, and of which data set"""

MOST_TIMED = 2_000
"""of the last calls whose first token was seen, to fit the waits of new ones on"""


class Memory:
    """What a process that analyses again and again keeps, so that it reads only what is new."""

    def __init__(self) -> None:
        self._sources: dict[str, LiveFindings] = {}

    def of(self, store: Store, source: str, policies: Book) -> LiveFindings:
        """Give the memory of a data set; made of what is analysed when it is first asked for."""
        if source not in self._sources:
            self.begin(store, source, policies).catch_up()
        return self._sources[source]

    def begin(self, store: Store, source: str, policies: Book) -> LiveFindings:
        """Begin a data set anew, with none of its calls."""
        self._sources[source] = LiveFindings(store, source, policies)
        return self._sources[source]


@dataclass(frozen=True, slots=True)
class _Books:
    """What an analysis goes by."""

    prices: PriceBook
    policies: Book
    version: str

    @classmethod
    def read(cls) -> Self:
        policies = cache_policies.read()
        return cls(PriceBook(), policies, version(policies))


def analyse(store: Store, *, memory: Memory | None = None, step: Step | None = None) -> int:
    """Fill in costs and findings of every call that has none; give their number.

    Data sets that another version analysed are analysed again, whole; with a `memory` that is left
    to `analyse_again`. Calls that a collector receives are left to the process that owns the store:
    it has in memory what they are compared with.
    """
    books = _Books.read()
    side_charges.price(store, books.prices)
    waiting = dict(costs.unanalysed(store).iter_rows())
    outdated = dict(costs.outdated(store, books.version).iter_rows())
    if memory is not None:
        outdated = {name: calls for name, calls in outdated.items() if name in {LIVE, *waiting}}
    todo = waiting | outdated
    if store.is_shared:
        todo.pop(LIVE, None)
    total, done = sum(todo.values()), 0
    for source, calls in sorted(todo.items()):
        if step is not None:
            step(done, total, f"analysing {source}")
        if memory is None and source != LIVE:
            _analyse_at_once(store, source, books, again=source in outdated)
        else:
            _analyse_live(store, source, books, memory or Memory(), again=source in outdated)
        done += calls
    _finish_cells(store)
    if memory is None:  # the owner of the store has a process that does
        kept_reuse.grow(store, step=step, without=LIVE if store.is_shared else None)
    if step is not None and total:
        step(total, total, "")
    return total


def _finish_cells(store: Store) -> None:
    """Make the cells that are left, a slice a transaction: others write meanwhile."""
    if store.frame("SELECT 1 FROM stale_sessions LIMIT 1").height:
        left = True
        while left:
            with store.transaction() as connection:
                left = cells.refresh(connection)


def analyse_again(store: Store, *, go_on: Callable[[], bool]) -> None:
    """Analyse data sets that another version analysed, one after another, while `go_on` holds.

    Their old rows stay until a data set is done, and are then replaced in one transaction. Live
    calls are left to `analyse`.
    """

    def stop_here(done: int, total: int) -> None:
        del done, total
        if not go_on():
            raise _StoppedError

    books = _Books.read()
    try:
        for source in sorted(costs.outdated(store, books.version)["source"].to_list()):
            if source != LIVE:
                stop_here(0, 0)
                _analyse_at_once(store, source, books, again=True, step=stop_here)
    except _StoppedError:
        pass


class _StoppedError(Exception):
    """The process is to end; what was not finished is left to the next one."""


def _analyse_at_once(
    store: Store,
    source: str,
    books: _Books,
    *,
    again: bool,
    step: Callable[[int, int], None] | None = None,
) -> None:
    """Analyse a data set as a whole: all its calls are read, each may be compared with any."""
    scope = Scope(source=source)
    with store.snapshot():
        calls = reads.llm_calls(store, scope)
        placed = placed_tree.read(store, scope)
    known = calls.filter(pl.col("latency_basis").is_not_null())["call_id"]
    reusable = _reusable(calls, placed.tree)
    calls = calls.with_columns(reusable=reusable)
    seen = calls.filter(pl.col("ttft_ns").is_not_null() & pl.col("duration_ns").is_not_null())
    new = calls if again else calls.filter(pl.col("latency_basis").is_null())
    made = _costs(new, _share_model(seen), books.prices)
    calls = _with_costs(calls.drop("reusable"), made)
    judged = judge_all(store, calls, placed, books.policies, step=step)
    _save(store, source, books, made, judged, sessions=new["session_id"], known=known)


def _analyse_live(store: Store, source: str, books: _Books, memory: Memory, *, again: bool) -> None:
    """Analyse new calls among those that are in memory, of which they become a part."""
    if again:
        live = memory.begin(store, source, books.policies)
        new = reads.llm_calls(store, Scope(source=source))
        timed = new.clear()
    else:
        live = memory.of(store, source, books.policies)
        new = reads.waiting_calls(store, source)
        timed = reads.timed_calls(store, source, MOST_TIMED)
    known = new.filter(pl.col("latency_basis").is_not_null())["call_id"]
    placed = live.place(new)
    reusable = pl.Series([one.reusable for one in placed], dtype=pl.Int64)
    columns = ("input_tokens", "output_tokens", "cache_read_tokens", "reusable")
    times = ("ttft_ns", "duration_ns")
    seen = pl.concat(
        [
            timed.rename({"reusable_tokens": "reusable"}).select(*columns, *times),
            new.with_columns(reusable=reusable)
            .filter(pl.all_horizontal(pl.col(times).is_not_null()))
            .select(*columns, *times)
            .tail(MOST_TIMED),
        ]
    )
    made = _costs(new.with_columns(reusable=reusable), _share_model(seen), books.prices)
    judged = live.judge(_with_costs(new, made), placed)
    _save(store, source, books, made, judged, sessions=new["session_id"], known=known)


def _with_costs(calls: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """Put new costs into the rows of their calls."""
    rest = calls.join(made, on="call_id", how="anti")
    fresh = calls.drop(list(costs.COSTS)[1:]).join(made, on="call_id")
    return pl.concat([rest, fresh.select(calls.columns)], how="vertical_relaxed").sort("ordinal")


def _save(
    store: Store,
    source: str,
    books: _Books,
    made: pl.DataFrame,
    judged: Judged,
    *,
    sessions: pl.Series,
    known: pl.Series,
) -> None:
    """Write costs and findings in one transaction, but those of calls that changed meanwhile.

    `sessions` are those of the calls; `known` are the calls that had costs when they were read.
    """
    with store.transaction() as connection:
        changed = costs.forgotten(connection, known)
        costs.save(store, made.filter(~pl.col("call_id").is_in(changed["call_id"])))
        ordinals = changed["ordinal"]
        finding_rows.save(
            connection,
            judged.findings.filter(~pl.col("ordinal").is_in(ordinals)),
            judged.breaks.filter(~pl.col("ordinal").is_in(ordinals)),
        )
        finding_rows.say_analysed(connection, source, books.version)
        cells.mark(connection, sessions.unique().to_list())
        cells.refresh(connection)
    _finish_cells(store)
    recorded_drifts.refresh(store, source)


def _costs(new: pl.DataFrame, model: ShareModel, book: PriceBook) -> pl.DataFrame:
    shares = model.shares(_sizes(new))
    rows = [
        _row(call, book, latency.Share(*share))
        for call, share in zip(
            new.iter_rows(named=True),
            zip(shares.estimate.tolist(), shares.low.tolist(), shares.high.tolist(), strict=True),
            strict=True,
        )
    ]
    return pl.DataFrame(rows, schema=costs.COSTS)


def _reusable(calls: pl.DataFrame, tree: prefix_tree.PrefixTree) -> npt.NDArray[np.int64]:
    """Give the tokens of each prompt that an earlier call had sent to the same model.

    A cache belongs to one model: what another one read saves nothing.
    """
    block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
    whole = hit_rates.prompts(tree, calls["input_tokens"].to_numpy(), block_tokens)
    models = calls.select(pl.struct("provider", "model").rank("dense") - 1).to_series()
    before = shared_prefixes.any_earlier(tree, models.to_numpy().astype(np.int64))
    return hit_rates.shared(tree, whole, block_tokens, before).tokens


def _share_model(seen: pl.DataFrame) -> ShareModel:
    """Fit on the source's own calls whose first token was seen; else take the prior."""
    found = latency_fit.fit(
        _sizes(seen), seen["ttft_ns"].to_numpy() / 1e9, seen["duration_ns"].to_numpy() / 1e9
    )
    return found or latency_fit.PRIOR.bounded_by_nothing()


def _sizes(calls: pl.DataFrame) -> latency_fit.Sizes:
    """Give token counts; where no cache is reported, what was sent before is taken as cached."""
    cached = pl.max_horizontal("cache_read_tokens", "reusable")
    new = calls.select(pl.max_horizontal(pl.col("input_tokens") - cached, 0)).to_series()
    return latency_fit.Sizes(
        new.to_numpy().astype(np.float64),
        calls["input_tokens"].to_numpy().astype(np.float64),
        calls["output_tokens"].to_numpy().astype(np.float64),
    )


def _row(call: dict[str, object], book: PriceBook, share: latency.Share) -> dict[str, object]:
    usage = _usage(call)
    reusable = min(_whole(call, "reusable"), usage.input_tokens)
    # a source that reports no cache at all cannot say what was avoidable: then all of it was
    avoidable = max(0, reusable - usage.cache_read_tokens)
    phases = latency.split(
        latency.Times(
            *(_maybe(call, name) for name in ("duration_ns", "ttft_ns", "queue_ns")),
            *(_maybe(call, name) for name in ("engine_prefill_ns", "engine_decode_ns")),
        ),
        share,
    )
    row: dict[str, object] = {
        "call_id": call["call_id"],
        "prefill_ns": phases.prefill_ns,
        "prefill_low_ns": phases.prefill_low_ns,
        "prefill_high_ns": phases.prefill_high_ns,
        "decode_ns": phases.decode_ns,
        "other_ns": phases.other_ns,
        "latency_basis": phases.basis,
        "reusable_tokens": reusable,
        "avoidable_tokens": avoidable,
    }
    return row | _money(call, usage, avoidable, book)


def _money(
    call: dict[str, object], usage: Usage, avoidable: int, book: PriceBook
) -> dict[str, Decimal | str | None]:
    found = charges.charge(_call(call, usage), book)
    parts, rates = found.bill, found.rates
    return {
        "prefill_usd": None if parts is None else parts.prefill_usd,
        "decode_usd": None if parts is None else parts.decode_usd,
        "other_usd": None if parts is None else parts.other_usd,
        "cached_usd": None if parts is None else parts.cached_usd,
        "price_source": found.source,
        "price_ref": found.ref,
        "rates": None if rates is None else rates.as_json(),
        "avoidable_usd": None if rates is None else bill.avoidable_usd(rates, usage, avoidable),
    }


def _call(call: dict[str, object], usage: Usage) -> charges.Call:
    provider, model, reported = call["provider"], call["model"], call["reported_cost_usd"]
    return charges.Call(
        provider=provider if isinstance(provider, str) else None,
        model=model if isinstance(model, str) else None,
        usage=usage,
        at_ns=_maybe(call, "started_ns"),
        reported_usd=reported if isinstance(reported, float) else None,
    )


def _usage(call: dict[str, object]) -> Usage:
    return Usage(
        uncached_tokens=_whole(call, "uncached_tokens"),
        cache_read_tokens=_whole(call, "cache_read_tokens"),
        cache_write_5m_tokens=_whole(call, "cache_write_5m_tokens"),
        cache_write_1h_tokens=_whole(call, "cache_write_1h_tokens"),
        output_tokens=_whole(call, "output_tokens"),
        reasoning_tokens=_whole(call, "reasoning_tokens"),
        origin="absent" if call["usage_origin"] == "absent" else "reported",
        billing=billing.from_json(str(call["billing"] or "{}")),
    )


def _whole(call: dict[str, object], name: str) -> int:
    value = call[name]
    assert isinstance(value, int)
    return value


def _maybe(call: dict[str, object], name: str) -> int | None:
    value = call[name]
    assert value is None or isinstance(value, int)
    return value

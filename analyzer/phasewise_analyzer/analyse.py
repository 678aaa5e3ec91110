"""Analyse the calls that are new: price by phase, wait by phase, what was sent before, breaks.

Import commands and the live loader call it after every batch; its results are the tables
`call_costs`, `call_findings` and `breaks`, which roll-ups and pages read.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Self

import polars as pl
from phasewise_store import cells, costs, cycle_collector, finding_rows, reads, reanalyses
from phasewise_store.facts import LIVE
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer import call_costs, latency_fit, side_charges
from phasewise_analyzer.caches import book as cache_policies
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.requests import Known, Requests
from phasewise_analyzer.call_findings.data_set import judge_all
from phasewise_analyzer.call_findings.judge import Judged
from phasewise_analyzer.call_findings.live import LiveFindings
from phasewise_analyzer.call_findings.version import version
from phasewise_analyzer.latency_fit import ShareModel
from phasewise_analyzer.ledger import recorded_drifts
from phasewise_analyzer.prefixes import kept_reuse
from phasewise_analyzer.prices import PriceBook

Step = Callable[[int, int, str], None]
"""how many of how many calls are done, and of which data set"""

TIMES = ("ttft_ns", "duration_ns")
"""columns that a call has where its first token was seen"""

SAY_S = 1.0
"""between two notes of how far an analysis by another version is"""

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
        return cls(PriceBook(), *_policies())


@cache
def _policies() -> tuple[Book, str]:
    """Give the package's policies, and the version of an analysis by them."""
    policies = cache_policies.read()
    return policies, version(policies)


def analyse(store: Store, *, memory: Memory | None = None, step: Step | None = None) -> int:
    """Fill in costs and findings of every call that has none; give their number.

    Data sets that another version analysed are analysed again, whole; with a `memory`, or where
    another process owns the store, that is left to `analyse_again`. Calls that a collector receives
    are left to the process that owns the store: it has in memory what they are compared with.
    """
    books = _Books.read()
    side_charges.price(store, books.prices)
    waiting = dict(costs.unanalysed(store).iter_rows())
    outdated = dict(costs.outdated(store, books.version).iter_rows())
    if memory is not None or store.is_shared:
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
            with cycle_collector.paused():
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
    books = _Books.read()
    reanalyses.announce(store, books.version)
    try:
        for source in sorted(costs.outdated(store, books.version)["source"].to_list()):
            if source != LIVE:
                step = _steps(store, source, go_on)
                _analyse_at_once(store, source, books, again=True, step=step)
    except _StoppedError:
        pass


def _steps(store: Store, source: str, go_on: Callable[[], bool]) -> Callable[[int, int], None]:
    """Note about once a second how far a data set is; stop where `go_on` says so."""
    said_s = -float("inf")

    def step(done: int, total: int) -> None:
        nonlocal said_s
        del total
        if not go_on():
            raise _StoppedError
        if time.monotonic() - said_s >= SAY_S:
            said_s = time.monotonic()
            reanalyses.say_done(store, source, done)

    return step


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
    read = Known.read(store, Scope(source=source))
    calls = read.calls
    known = calls.filter(pl.col("latency_basis").is_not_null())["call_id"]
    with cycle_collector.paused():
        requests = Requests(store, known=read)
        predicted = predictions.predict(requests, books.policies, step=step)
        found = call_costs.with_found(calls, predicted)
        seen = found.filter(pl.all_horizontal(pl.col(TIMES).is_not_null()))
        new = found if again else found.filter(pl.col("latency_basis").is_null())
        made = call_costs.of_calls(new, _share_model(seen), books.prices)
        judged = judge_all(store, _with_costs(calls, made), requests, predicted)
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
    found = call_costs.with_found(new, live.predictions(placed))
    columns = (*call_costs.SIZES, *TIMES)
    seen = pl.concat(
        [
            timed.select(pl.col("sent_before_tokens").alias("sent_before"), *columns).select(
                *columns, "sent_before"
            ),
            found.filter(pl.all_horizontal(pl.col(TIMES).is_not_null()))
            .select(*columns, "sent_before")
            .tail(MOST_TIMED),
        ]
    )
    made = call_costs.of_calls(found, _share_model(seen), books.prices)
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
        costs.save(store, made.filter(~pl.col("call_id").is_in(changed["call_id"].to_list())))
        ordinals = changed["ordinal"].to_list()
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


def _share_model(seen: pl.DataFrame) -> ShareModel | None:
    """Fit on the source's own calls whose first token was seen; None where they are too few."""
    return latency_fit.fit(
        call_costs.sizes(seen),
        seen["ttft_ns"].to_numpy() / 1e9,
        seen["duration_ns"].to_numpy() / 1e9,
    )

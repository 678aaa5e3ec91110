"""Judge calls by those before them: the one place that puts breaks, misses and ledger together.

An import has all calls of a data set judged at once, live traffic those that are new; both bring
the calls beside their predecessors (`Compared`) and what the caches' rules say of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl
from phasewise_store.finding_rows import BREAKS, FINDINGS
from phasewise_store.store import Store

from phasewise_analyzer.breaks import agreement, content_breaks, misses
from phasewise_analyzer.breaks.compared import Compared
from phasewise_analyzer.breaks.content_breaks import Found
from phasewise_analyzer.breaks.facts import Break
from phasewise_analyzer.breaks.grouping import of_template
from phasewise_analyzer.caches.predictions import Prediction
from phasewise_analyzer.ledger.accounting import explain
from phasewise_analyzer.ledger.facts import Explained


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of some calls, as rows of `call_findings` and `breaks`."""

    findings: pl.DataFrame
    breaks: pl.DataFrame


def judge(
    store: Store,
    calls: Compared,
    predicted: Sequence[Prediction],
    *,
    wanted: Collection[int],
    first: Collection[int],
) -> Judged:
    """Return the rows of the wanted calls; `first` are the rows of their agents' first calls."""
    broken = content_breaks.find(store, calls)
    missed = misses.find(calls, predicted, {row for row, _ in broken})
    explained = explain(
        calls.rows, wanted, predicted, broken=[one for _, one in broken], first=first
    )
    all_broken = dict([*broken, *missed])
    rows = [
        _finding(calls, one, all_broken.get(one.row), one.row in first)
        for one in store.precedence.between(explained)
    ]
    return Judged(
        pl.DataFrame(rows, schema=FINDINGS, orient="row").sort("ordinal"),
        pl.DataFrame(
            [_break(calls, found) for found in sorted(all_broken.items())],
            schema=BREAKS,
            orient="row",
        ),
    )


def _finding(
    calls: Compared, one: Explained, broken: Break | None, is_first: bool
) -> tuple[object, ...]:
    said = calls.said(one.row)
    known = bool(calls.has_prompt[one.row])
    return (
        calls.rows[one.row]["ordinal"],
        int(calls.whole[one.row]) if known else None,
        one.sent_before,
        int(calls.with_previous[one.row]),
        one.policy,
        one.predicted_read,
        one.reported_read,
        one.granularity,
        is_first,
        bool(calls.is_deep[one.row]),
        said,
        agreement.agrees(said, broken),
        [
            {
                "reason": part.reason,
                "tokens": part.tokens,
                "usd": part.usd,
                "extra_usd": part.extra_usd,
            }
            for part in one.parts
        ],
    )


def _break(calls: Compared, found: Found) -> tuple[object, ...]:
    row, one = found
    return (
        calls.rows[row]["ordinal"],
        one.after_call_id,
        one.gap_s,
        one.cause.name,
        one.cause.wasteful,
        one.tier,
        one.place,
        of_template(one.place),
        one.before,
        one.after,
        one.expected_tokens,
        one.shared_tokens,
        one.read_tokens,
        one.lost_tokens,
        one.lost_usd,
        one.provider_says,
    )

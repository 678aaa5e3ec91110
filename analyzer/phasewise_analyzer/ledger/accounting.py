"""Account for every input token and dollar: what was read from a cache, and why the rest was not.

Each call is judged by its provider's record of that day: what the rule says was read is predicted
from what earlier calls had sent, and compared with what was reported.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import numpy as np
import polars as pl
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer import bill, cache_states, groups
from phasewise_analyzer.breaks import compared, content_breaks
from phasewise_analyzer.breaks.facts import Break
from phasewise_analyzer.caches import predictions
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.predictions import Prediction, Step
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.groups import By
from phasewise_analyzer.ledger import drift, facts
from phasewise_analyzer.ledger.facts import Account, Drift, Explained, Ledger, Line, Part
from phasewise_analyzer.prices import Rates

Call = Mapping[str, object]


def keep(
    store: Store,
    book: Book,
    scope: Scope = EVERYTHING,
    *,
    by: By | None = None,
    step: Step | None = None,
) -> Ledger:
    """Account for all calls in scope; their costs must have been analysed."""
    requests = Requests(store, scope)
    judged = predictions.predict(requests, book, step=step)
    broken = content_breaks.find(store, compared.all_of(requests))
    calls = requests.calls
    explained = tuple(
        explain(
            requests.rows,
            range(calls.height),
            judged,
            broken=[one for _, one in broken],
            first=first_of_streams(calls),
        )
    )
    priced = [value for value in calls["prefill_usd"].to_list() if value is not None]
    known = [one for one in explained if None not in (one.predicted_read, one.reported_read)]
    return Ledger(
        calls=calls.height,
        input_tokens=int(calls["input_tokens"].sum()),
        prefill_usd=sum(priced, Decimal(0)) if priced else None,
        lines=_lines(explained),
        judged_calls=len(known),
        exact_calls=sum(one.is_exact for one in known),
        drifts=tuple(_drifts(requests, known)),
        accounts=() if by is None else tuple(_accounts(store, requests, explained, by)),
        explained=explained,
    )


def explain(
    rows: Sequence[Call],
    wanted: Iterable[int],
    judged: Sequence[Prediction],
    *,
    broken: Iterable[Break],
    first: Container[int],
) -> Iterator[Explained]:
    """Account for the wanted rows; `first` are those of the first calls of their agents.

    Those come first of which the prompt is known, in the order in which they were judged.
    """
    lost = {one.call_id: (one.cause.name, one.lost_tokens) for one in broken}
    without_prompt = set(wanted) - {one.row for one in judged}
    for one in (*judged, *(Prediction(row, 0, None, None) for row in sorted(without_prompt))):
        call = rows[one.row]
        split = _split(call, one, lost.get(str(call["call_id"]), ("", 0)), one.row in first)
        yield Explained(
            row=one.row,
            call_id=str(call["call_id"]),
            policy=None if one.policy is None else one.policy.id,
            sent_before=min(one.sent_before, _whole(call, "input_tokens")),
            predicted_read=None if one.served is None else one.served.read,
            reported_read=_whole(call, "cache_read_tokens") if call["cache_reported"] else None,
            granularity=1 if one.policy is None else one.policy.granularity_tokens,
            parts=tuple(_priced(call, [part for part in split if part[1]])),
        )


def first_of_streams(calls: pl.DataFrame) -> set[int]:
    """Return the rows of the first calls of their agents."""
    first: dict[str, int] = {}
    for row, agent_id in enumerate(calls["agent_id"].to_list()):
        first.setdefault(agent_id, row)
    return set(first.values())


def _split(
    call: Call, judged: Prediction, lost: tuple[str, int], is_first: bool
) -> list[tuple[str, int]]:
    """Split one call's input tokens by reason, in the order of the prompt."""
    total = _whole(call, "input_tokens")
    read = _whole(call, "cache_read_tokens")
    by_rule, beyond = predictions.missed(call, judged)
    split = [(facts.READ, read)]
    if not call["cache_reported"]:
        split.append((facts.UNREPORTED, by_rule + beyond))
    elif judged.served is None:
        split.append((facts.UNKNOWN, beyond))
    else:
        split += [(facts.RULE + judged.served.reason, by_rule), (facts.PROVIDER, beyond)]
    left = max(0, total - read - by_rule - beyond)
    cause, broken = lost
    broken = min(broken, left)
    split.append((facts.BREAK + cause, broken))
    split.append((facts.FIRST if is_first else facts.APPENDED, left - broken))
    return split


def _priced(call: Call, split: Sequence[tuple[str, int]]) -> Iterator[Part]:
    """Price the parts so that they sum to the call's input bill to the last digit."""
    whole = call["prefill_usd"]
    if not isinstance(whole, Decimal) or call["rates"] is None:
        yield from (Part(reason, tokens, None, None) for reason, tokens in split)
        return
    rates = Rates.from_json(str(call["rates"]))
    usage = cache_states.billed(call)
    end, paid, extra = 0, Decimal(0), Decimal(0)
    for place, (reason, tokens) in enumerate(split):
        end += tokens
        is_last = place == len(split) - 1
        until = whole if is_last else min(whole, bill.charged_usd(rates, usage, end))
        behind = max(0, end - usage.cache_read_tokens)
        extra_until = bill.above_read_usd(rates, usage, behind)
        yield Part(reason, tokens, until - paid, extra_until - extra)
        paid, extra = until, extra_until


def _whole(call: Call, name: str) -> int:
    value = call[name]
    assert isinstance(value, int)
    return value


_ORDER = (
    facts.READ,
    facts.FIRST,
    facts.APPENDED,
    facts.BREAK,
    facts.RULE,
    facts.PROVIDER,
    facts.UNREPORTED,
    facts.UNKNOWN,
)


def _lines(explained: Sequence[Explained]) -> tuple[Line, ...]:
    sums: dict[str, list[Part]] = {}
    for one in explained:
        for part in one.parts:
            sums.setdefault(part.reason, []).append(part)

    def line(reason: str, parts: Sequence[Part]) -> Line:
        return Line(
            reason,
            len(parts),
            sum(part.tokens for part in parts),
            _sum(part.usd for part in parts),
            _sum(part.extra_usd for part in parts),
        )

    return in_order(line(*item) for item in sums.items())


def in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return lines as a bill lists them: what was read first, and the largest of a kind first."""

    def place(one: Line) -> tuple[int, int, str]:
        kind = next(n for n, name in enumerate(_ORDER) if one.reason.startswith(name))
        return kind, -one.tokens, one.reason

    return tuple(sorted(lines, key=place))


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def _accounts(
    store: Store, requests: Requests, explained: Sequence[Explained], by: By
) -> Iterator[Account]:
    group, keys = groups.numbered(store, requests.calls, by)
    inside: dict[int, list[Explained]] = {}
    for one in explained:
        inside.setdefault(int(group[one.row]), []).append(one)
    for number, key in enumerate(keys):
        lines = _lines(inside[number])
        yield Account(key, len(inside[number]), sum(line.tokens for line in lines), lines)


def _drifts(requests: Requests, judged: Sequence[Explained]) -> Iterator[Drift]:
    """Look for a change in what each model's provider reads of what its rule promises."""
    series: dict[tuple[object, object], list[Explained]] = {}
    names = requests.calls.select("provider", "model", "started_ns").rows()
    for one in judged:
        if one.predicted_read:
            series.setdefault(names[one.row][:2], []).append(one)
    for some in series.values():
        shares = [min(1.0, (one.reported_read or 0) / (one.predicted_read or 1)) for one in some]
        found = drift.find(np.array(shares))
        if found is not None:
            at = some[found.at]
            provider, model, start_ns = names[at.row]
            yield Drift(
                provider,
                model,
                start_ns,
                at.call_id,
                found.before,
                found.after,
                len(some),
                found.p_value,
            )

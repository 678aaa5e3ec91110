"""Make a call's row of `call_costs`: wait by phase, input by state, the bill and its range.

`analyse` hands over new calls with what was found of their prompts; this is arithmetic only.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl
from phasewise_store import billing, costs
from phasewise_store.facts import Usage

from phasewise_analyzer import bill, cache_states, charges, latency
from phasewise_analyzer.cache_states import CacheStates, Predicted
from phasewise_analyzer.caches.predictions import Prediction
from phasewise_analyzer.latency_fit import ShareModel, Sizes
from phasewise_analyzer.prices import PriceBook, Rates

Call = Mapping[str, object]

PREDICTED: Mapping[str, pl.DataType] = {
    "predicted_policy": pl.String(),
    "predicted_read": pl.Int64(),
    "predicted_write_5m": pl.Int64(),
    "predicted_write_1h": pl.Int64(),
}
"""columns that say what the rule of the call's provider reads and writes; null without a rule"""


SIZES = ("input_tokens", "output_tokens", "cache_reported", "cache_read_tokens")
"""columns that `sizes` wants, beside `sent_before`"""


def with_found(calls: pl.DataFrame, predicted: Iterable[Prediction]) -> pl.DataFrame:
    """Add what is found of the calls' prompts: `sent_before` and the columns of `PREDICTED`."""
    nothing = (0, *(None,) * len(PREDICTED))
    rows: list[tuple[object, ...]] = [nothing] * calls.height
    for one in predicted:
        billed = one.billed()
        rule = (
            nothing[1:]
            if billed is None
            else (billed.policy, billed.read, billed.written_5m, billed.written_1h)
        )
        rows[one.row] = one.sent_before, *rule
    schema = {"sent_before": pl.Int64(), **PREDICTED}
    return calls.hstack(pl.DataFrame(rows, schema=schema, orient="row"))


def of_calls(new: pl.DataFrame, model: ShareModel | None, prices: PriceBook) -> pl.DataFrame:
    """Return the rows of these calls.

    Columns: those of `reads.llm_calls` and of `with_found`.
    """
    shares = [None] * new.height if model is None else _shares(new, model)
    saved = [None] * new.height if model is None else _saved_ns(new, model)
    rows = [
        {"saved_ns": saved_ns} | _row(call, prices, share)
        for call, share, saved_ns in zip(new.iter_rows(named=True), shares, saved, strict=True)
    ]
    return pl.DataFrame(rows, schema=costs.COSTS)


def sizes(calls: pl.DataFrame) -> Sizes:
    """Return token counts; where no cache is reported, what was sent before is taken as cached."""
    cached = pl.when("cache_reported").then("cache_read_tokens").otherwise("sent_before")
    new = calls.select(pl.max_horizontal(pl.col("input_tokens") - cached, 0)).to_series()
    return Sizes(
        new.cast(pl.Float64).to_numpy(),
        calls["input_tokens"].cast(pl.Float64).to_numpy(),
        calls["output_tokens"].cast(pl.Float64).to_numpy(),
    )


def _shares(new: pl.DataFrame, model: ShareModel) -> list[latency.Share]:
    found = model.shares(sizes(new))
    ends = (found.estimate.tolist(), found.low.tolist(), found.high.tolist())
    return [latency.Share(*share) for share in zip(*ends, strict=True)]


def _saved_ns(new: pl.DataFrame, model: ShareModel) -> list[int | None]:
    """Estimate what reported cache reads saved; None where it is not known, or nobody can say."""
    saved = model.saved_s(new["cache_read_tokens"].cast(pl.Float64).to_numpy())
    known = new["cache_reported"].to_list() if model.prefill[1] else [False] * new.height
    return [
        round(seconds * 1e9) if is_known else None
        for seconds, is_known in zip(saved.tolist(), known, strict=True)
    ]


def _row(call: Call, prices: PriceBook, share: latency.Share | None) -> dict[str, object]:
    usage = _usage(call)
    found = cache_states.states(
        usage,
        sent_before=_whole(call, "sent_before"),
        predicted=_predicted(call),
        cost_is_reported=bool(call["reported_cost_usd"]),
    )
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
        "sent_before_tokens": found.sent_before,
        "missed_tokens": found.missed,
        "unreported_tokens": found.unreported,
        "billed_read_tokens": found.billed.cache_read_tokens,
        "billed_write_5m_tokens": found.billed.cache_write_5m_tokens,
        "billed_write_1h_tokens": found.billed.cache_write_1h_tokens,
    }
    return row | _money(call, found, prices)


def _money(call: Call, found: CacheStates, prices: PriceBook) -> dict[str, Decimal | str | None]:
    charged = charges.charge(_call(call, found.billed), prices)
    parts, rates = charged.bill, charged.rates
    prefill = None if parts is None else parts.prefill_usd
    low, high = _range(found, rates, prefill)
    return {
        "prefill_usd": prefill,
        "prefill_low_usd": low,
        "prefill_high_usd": high,
        "cached_usd": None if parts is None else _cached(found, parts),
        "unreported_usd": None if prefill is None else _unreported(found, rates, prefill),
        "missed_usd": None
        if rates is None
        else bill.above_read_usd(rates, found.billed, found.missed),
        "decode_usd": None if parts is None else parts.decode_usd,
        "other_usd": None if parts is None else parts.other_usd,
        "price_source": _source(charged.source, found),
        "price_ref": charged.ref,
        "rates": None if rates is None else rates.as_json(),
    }


def _cached(found: CacheStates, parts: bill.Bill) -> Decimal:
    """Return what reported reads cost; predicted ones are part of what is not reported."""
    return Decimal(0) if found.unreported else parts.cached_usd


def _unreported(found: CacheStates, rates: Rates | None, prefill: Decimal) -> Decimal:
    if rates is None or not found.unreported:
        return Decimal(0)
    if found.unreported == found.billed.input_tokens:
        return prefill
    return min(prefill, bill.charged_usd(rates, found.billed, found.unreported))


def _range(
    found: CacheStates, rates: Rates | None, prefill: Decimal | None
) -> tuple[Decimal | None, Decimal | None]:
    """Return what the input would have cost with all that was sent before read, and with nothing.

    A rule that charges for writes can cost more than having no cache: the bill is never outside.
    """
    if prefill is None or rates is None or not found.unreported:
        return prefill, prefill
    low = bill.split(rates, found.all_read).prefill_usd
    high = bill.split(rates, found.none_read).prefill_usd
    return min(low, prefill), max(high, prefill)


def _source(source: str | None, found: CacheStates) -> str | None:
    if source is None or found.policy is None:
        return source
    return f"{source}; cache by the rule {found.policy}: not reported"


def _predicted(call: Call) -> Predicted | None:
    policy = call["predicted_policy"]
    if not isinstance(policy, str):
        return None
    names = ("predicted_read", "predicted_write_5m", "predicted_write_1h")
    return Predicted(policy, *(_whole(call, name) for name in names))


def _call(call: Call, usage: Usage) -> charges.Call:
    provider, model, reported = call["provider"], call["model"], call["reported_cost_usd"]
    return charges.Call(
        provider=provider if isinstance(provider, str) else None,
        model=model if isinstance(model, str) else None,
        usage=usage,
        at_ns=_maybe(call, "started_ns"),
        reported_usd=reported if isinstance(reported, float) else None,
    )


def _usage(call: Call) -> Usage:
    return Usage(
        uncached_tokens=_whole(call, "uncached_tokens"),
        cache_read_tokens=_whole(call, "cache_read_tokens"),
        cache_write_5m_tokens=_whole(call, "cache_write_5m_tokens"),
        cache_write_1h_tokens=_whole(call, "cache_write_1h_tokens"),
        output_tokens=_whole(call, "output_tokens"),
        reasoning_tokens=_whole(call, "reasoning_tokens"),
        origin="absent" if call["usage_origin"] == "absent" else "reported",
        cache_reported=bool(call["cache_reported"]),
        billing=billing.from_json(str(call["billing"] or "{}")),
    )


def _whole(call: Call, name: str) -> int:
    value = call[name]
    assert isinstance(value, int)
    return value


def _maybe(call: Call, name: str) -> int | None:
    value = call[name]
    assert value is None or isinstance(value, int)
    return value

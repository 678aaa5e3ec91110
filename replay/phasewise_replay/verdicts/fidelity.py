"""Fidelity checks: how faithfully a run reproduced the trace. One failed check voids the run.

`compare` calls it with the measured calls of every arm that ran.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import polars as pl
from phasewise_store.run_facts import Run

from phasewise_replay.plans.plan import Forced
from phasewise_replay.records.arm_record import ArmRecord
from phasewise_replay.verdicts import load_checks
from phasewise_replay.verdicts.failures import failures
from phasewise_replay.verdicts.verdict import Check, Fidelity

MOST_ERRORS = 0.01
MOST_LAG_SHARE = 0.01
"""of the time of all calls: below this, longer lags than the plan allows delay no session much"""
LEAST_PREDICTED = 0.99
"""share of calls whose cached tokens the cache model must predict, where it can be exact"""
MOST_CACHE_DRIFT = 0.1
"""more means that prompts share other prefixes than in the trace, or that requests in progress hold
so much of the cache that earlier prompts are evicted"""

UNREPORTED = "vLLM does in development mode, if its environment has pip"


def judge(
    run: Run,
    records: Mapping[str, ArmRecord],
    calls: pl.DataFrame,
    *,
    filling: pl.DataFrame,
    unplanned: Mapping[str, Sequence[str]],
    concurrency: int,
    shard_blocks: int,
    send_lag_ms: float,
    forced: Forced | None = "lengths",
) -> Fidelity:
    """Check a run; `calls` are all measured calls, `concurrency` sessions at a time.

    `filling` are those that filled the cache before a session. Each `shard_blocks` numbers of
    blocks belong to another shard. `send_lag_ms` is how late calls may be sent. `forced` says what
    outputs were forced to: None where they were free.
    """
    # parallel sub-agents of one session are several calls in flight, too
    sequential = concurrency == 1 and not load_checks.overlap(calls)
    checks = (
        _finished(run),
        _blocks(records),
        _errors(calls),
        *_filled(filling),
        _complete(records, calls, shard_blocks),
        *([_output(calls)] if forced is not None else []),
        *([_tokens(records, calls)] if forced == "tokens" else []),
        _input(records, calls),
        _lag(calls, send_lag_ms),
        *load_checks.client_bound(records),
        *load_checks.equal_concurrency(calls, planned=concurrency),
        *_predicted(calls, sequential=sequential),
        *_counter(records, sequential=sequential),
        *_endpoints(records),
        _confounders(unplanned, records),
        *_even(records),
    )
    return Fidelity(all(check.passed for check in checks), checks)


def _finished(run: Run) -> Check:
    text = "" if run.status == "finished" else f"status {run.status}: {run.detail or 'no detail'}"
    return Check("finished", "The run finished", None, "finished", run.status == "finished", text)


def _blocks(records: Mapping[str, ArmRecord]) -> Check:
    void = [
        f"{arm}, block {block.block}: {block.void}"
        for arm, record in records.items()
        for block in record.blocks
        if block.void is not None
    ]
    warm = [
        f"{arm}, block {block.block}: {block.canary_cached_tokens} tokens"
        for arm, record in records.items()
        for block in record.blocks
        if block.canary_cached_tokens
    ]
    return Check(
        "cold_canary",
        "Every block started with a cold cache",
        float(len(void) + len(warm)),
        "no void or warm block",
        not void and not warm,
        "; ".join(void + warm),
    )


def _errors(calls: pl.DataFrame) -> Check:
    failed = failures(calls)
    share = _share(failed.calls, failed.of)
    return Check(
        "errors",
        "Calls that failed",
        share,
        f"at most {MOST_ERRORS:.0%}",
        share <= MOST_ERRORS,
        f"for example: {'; '.join(failed.reasons)}" if failed.reasons else "",
    )


def _filled(filling: pl.DataFrame) -> Iterator[Check]:
    """Check that sessions that begin in the middle found the cache filled."""
    if not filling.height:
        return
    failed = failures(filling)
    yield Check(
        "warm_start",
        "Calls that fill the cache before a session and failed",
        float(failed.calls),
        "0 calls",
        not failed.calls,
        f"for example: {'; '.join(failed.reasons)}" if failed.reasons else "",
    )


def _complete(records: Mapping[str, ArmRecord], calls: pl.DataFrame, shard_blocks: int) -> Check:
    """Check that every block of every arm served the same calls of its shard."""
    blocks = calls.group_by("arm", "block").agg(pl.col("call_id").sort())
    sets: dict[int, set[tuple[str, ...]]] = {}
    for block, ids in blocks.select("block", "call_id").iter_rows():
        sets.setdefault(block // shard_blocks, set()).add(tuple(ids))
    most = max(map(len, sets.values()), default=0)
    skipped = {block.skipped_calls for record in records.values() for block in record.blocks}
    detail = (
        f"{max(skipped)} calls per block do not fit the model's context" if any(skipped) else ""
    )
    if most > 1:
        sizes = {shard: sorted(map(len, found)) for shard, found in sorted(sets.items())}
        named = [
            f"shard {shard}: {found}" if len(sets) > 1 else f"{found}"
            for shard, found in sizes.items()
            if len(found) > 1
        ]
        detail = f"blocks served different sets of calls, of sizes {'; '.join(named)}"
    return Check(
        "complete",
        "Every block served the same calls",
        float(most),
        "1 set",
        most == 1,
        detail,
    )


def _output(calls: pl.DataFrame) -> Check:
    wrong = calls.filter(pl.col("output_tokens") != pl.col("planned_output_tokens")).height
    share = _share(wrong, calls.height)
    return Check(
        "output_tokens",
        "Outputs whose length differs from the recorded one",
        share,
        f"at most {MOST_ERRORS:.0%}",
        share <= MOST_ERRORS,
    )


def _tokens(records: Mapping[str, ArmRecord], calls: pl.DataFrame) -> Check:
    """Check that every call answered the tokens that were forced, and as many on every arm."""
    planned = calls.group_by("call_id").agg(pl.col("planned_output_tokens").n_unique())
    uneven = planned.filter(pl.col("planned_output_tokens") > 1).height
    others = [
        (f"{arm}, block {block.block}", block)
        for arm, record in records.items()
        for block in record.blocks
        if block.other_tokens
    ]
    said = [
        f"{where}: {one.other_tokens:,} {'call' if one.other_tokens == 1 else 'calls'}, "
        f"first {one.first_other}"
        for where, one in others
    ]
    if uneven:
        said.append(f"{uneven:,} calls are forced to another number of tokens on another arm")
    return Check(
        "forced_tokens",
        "Calls that did not answer the forced tokens",
        float(uneven + sum(one.other_tokens for _, one in others)),
        "0 calls",
        not said,
        "; ".join(said),
    )


def _input(records: Mapping[str, ArmRecord], calls: pl.DataFrame) -> Check:
    """Check that every engine read the prompts that were sent, and all the same ones."""
    sizes = calls.group_by("call_id").agg(pl.col("input_tokens").drop_nulls().n_unique())
    unequal = sizes.filter(pl.col("input_tokens") > 1).height
    drifted = {
        f"{arm}, block {block.block}": block.other_lengths
        for arm, record in records.items()
        for block in record.blocks
        if block.other_lengths
    }
    return Check(
        "input_tokens",
        "Prompts whose token count differs between blocks, or from what was sent",
        float(unequal + sum(drifted.values())),
        "0 calls",
        not unequal and not drifted,
        "; ".join(f"{where}: {count:,} not as sent" for where, count in drifted.items()),
    )


def _lag(calls: pl.DataFrame, most_ms: float) -> Check:
    """Check that calls were delayed by the engine, not by the client."""
    lag_ms = (calls["lag_ns"].quantile(0.99) or 0.0) / 1e6
    share = _share(int(calls["lag_ns"].sum()), int(calls["duration_ns"].sum()))
    return Check(
        "send_lag",
        "Send delay, 99th percentile, ms",
        lag_ms,
        f"at most {most_ms:g} ms, or {MOST_LAG_SHARE:.0%} of the calls' time",
        lag_ms <= most_ms or 0 < share <= MOST_LAG_SHARE,
        f"all delays are {share:.2%} of the calls' time",
    )


def _predicted(calls: pl.DataFrame, *, sequential: bool) -> Iterator[Check]:
    known = calls.filter(
        pl.col("predicted_cached_tokens").is_not_null() & pl.col("cached_tokens").is_not_null()
    )
    if not known.height:
        return
    equal = known.filter(pl.col("predicted_cached_tokens") == pl.col("cached_tokens")).height
    share = equal / known.height
    if sequential:
        yield Check(
            "predicted_cache",
            "Calls whose cached tokens were predicted exactly",
            share,
            f"at least {LEAST_PREDICTED:.0%}",
            share >= LEAST_PREDICTED,
            f"{equal:,} of {known.height:,} calls",
        )
        return
    # sessions ran concurrently: the engine decides their order, so single calls may differ
    by_block = known.group_by("arm", "block").agg(
        drift=(pl.col("cached_tokens").sum() - pl.col("predicted_cached_tokens").sum()).abs()
        / pl.col("input_tokens").sum()
    )
    drift = max(by_block["drift"].to_list())
    yield Check(
        "cache_structure",
        "Cached tokens, distance from the prediction in the worst block, share of the input",
        drift,
        f"at most {MOST_CACHE_DRIFT:.0%}",
        drift <= MOST_CACHE_DRIFT,
        f"{equal:,} of {known.height:,} calls were predicted exactly",
    )


def _counter(records: Mapping[str, ArmRecord], *, sequential: bool) -> Iterator[Check]:
    pairs = [
        (f"{arm}, block {block.block}", block.cached_tokens, block.engine_cached_tokens)
        for arm, record in records.items()
        for block in record.blocks
        if block.cached_tokens is not None and block.engine_cached_tokens is not None
    ]
    if not pairs or not sequential:
        return
    wrong = [
        f"{where}: {told} in responses, {counted} counted by the engine"
        for where, told, counted in pairs
        if told != counted
    ]
    yield Check(
        "engine_counter",
        "Blocks whose cached tokens differ from the engine's own counter",
        float(len(wrong)),
        "0 blocks",
        not wrong,
        "; ".join(wrong),
    )


def _endpoints(records: Mapping[str, ArmRecord]) -> Iterator[Check]:
    """Check that the chats of all arms went to the same endpoints, where the plan chose some."""
    found = {arm: dict(record.endpoints) for arm, record in records.items() if record.endpoints}
    if not found:
        return
    shares = {
        arm: {name: Fraction(count, sum(one.values())) for name, count in one.items()}
        for arm, one in found.items()
    }
    first = next(iter(shares.values()))
    other = [arm for arm, share in shares.items() if share != first]
    sessions = "; ".join(
        f"{arm}: " + ", ".join(f"{name} {count:,}" for name, count in one.items())
        for arm, one in found.items()
    )
    title = "Arms whose chats went to other endpoints than the baseline's"
    yield Check(
        "endpoints", title, float(len(other)), "0 arms", not other, f"sessions of {sessions}"
    )


def _confounders(unplanned: Mapping[str, Sequence[str]], records: Mapping[str, ArmRecord]) -> Check:
    found = [f"{arm}: {', '.join(names)}" for arm, names in unplanned.items() if names]
    silent = [arm for arm, record in records.items() if not record.settings]
    unknown = [f"no settings reported by {', '.join(silent)} ({UNREPORTED})"] if silent else []
    return Check(
        "confounders",
        "Settings that differ although the plan does not change them",
        float(sum(map(len, unplanned.values()))),
        "0 settings",
        not found,
        "; ".join(found + unknown),
    )


def _even(records: Mapping[str, ArmRecord]) -> Iterator[Check]:
    """Check that the nodes of a cluster were alike; nothing to say of one machine."""
    uneven = [f"{arm}, {what}" for arm, record in records.items() for what in record.uneven]
    if uneven:
        yield Check(
            "even_nodes",
            "Differences between the nodes that an arm ran on",
            float(len(uneven)),
            "0 differences",
            False,
            "; ".join(uneven),
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

"""One session step by step: LLM calls and tool calls in order, each call's wait split by phase."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl
from phasewise_store import reads, side_costs
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment
from phasewise_store.store import Store

from phasewise_analyzer import replayable, rollups
from phasewise_analyzer.findings import SideStep, Step, Timeline
from phasewise_analyzer.replayable import Replayable

MOST_SCORED_NODES = 5_000
"""of the trie, on the paths of all calls of a page: beyond, none is scored for replay"""


def timeline(
    store: Store, session_id: str, *, offset: int = 0, limit: int | None = None
) -> Timeline:
    """Give the session's steps, or a page of them; raises UsageError where it is not there.

    Only the steps of the page are read whole.
    """
    row = rollups.session(store, session_id)
    there = reads.session_steps(store, session_id)
    shown = there.slice(offset, limit)
    beside = side_costs.of_session(store, session_id)
    zero, end = _bounds([*_times(there), *_times(beside)])
    depths = _depths(store, session_id)
    calls = reads.calls_with_ids(store, shown.filter(kind="llm")["id"].to_list())
    tools = reads.tool_calls(store, session_id, shown.filter(kind="tool")["id"].to_list())
    scored = replayable.of_calls(store, calls, most_nodes=MOST_SCORED_NODES)
    found = {
        call["call_id"]: _call(call, zero, depths, scored.get(call["call_id"]))
        for call in calls.iter_rows(named=True)
    } | {tool["tool_call_id"]: _tool(tool, zero, depths) for tool in tools.iter_rows(named=True)}
    scores = [one.score for one in scored.values()]
    is_whole = shown.height == there.height and len(scores) == calls.height
    return Timeline(
        row,
        tuple(found[id] for id in shown["id"]),
        None if zero is None or end is None else end - zero,
        sum(scores) / len(scores) if scores and is_whole else None,
        tuple(_side(one, zero) for one in beside.iter_rows(named=True)),
        there.height,
    )


def call_step(store: Store, call_id: str, prompt: Sequence[Segment]) -> Step:
    """Give one call as its session's timeline has it; raises UsageError where it is not there.

    `prompt` is its whole prompt, by which it is scored for replay.
    """
    calls = reads.calls_with_ids(store, [call_id])
    if not calls.height:
        raise UsageError(f"no call `{call_id}` in this database; `phasewise calls` lists them")
    call = calls.row(0, named=True)
    session_id = call["session_id"]
    there = reads.session_steps(store, session_id)
    zero, _ = _bounds([*_times(there), *_times(side_costs.of_session(store, session_id))])
    return _call(call, zero, _depths(store, session_id), replayable.of_prompt(call, prompt))


def _times(steps: pl.DataFrame) -> Iterator[tuple[int, int]]:
    """Give start and end of each step that has a time."""
    timed = steps.filter(pl.col("started_ns").is_not_null())
    for start, duration in timed.select("started_ns", "duration_ns").iter_rows():
        yield start, start + (duration or 0)


def _bounds(times: Sequence[tuple[int, int]]) -> tuple[int | None, int | None]:
    """Give the first start and the last end; None where no step has a time."""
    if not times:
        return None, None
    return min(start for start, _ in times), max(end for _, end in times)


def _depths(store: Store, session_id: str) -> dict[str, int]:
    """Give how many agents stand above each one."""
    agents = reads.agents(store, session_id)
    above = dict(zip(agents["agent_id"], agents["parent_agent_id"], strict=True))
    depths: dict[str, int] = {}
    for agent in agents["agent_id"]:
        depth, parent = 0, above[agent]
        while parent is not None and depth <= len(above):
            depth, parent = depth + 1, above.get(parent)
        depths[agent] = depth
    return depths


def _call(
    call: Mapping[str, object],
    zero: int | None,
    depths: Mapping[str, int],
    scored: Replayable | None,
) -> Step:
    agent_id = str(call["agent_id"])
    usd = [call[name] for name in ("prefill_usd", "decode_usd", "other_usd")]
    priced = all(part is not None for part in usd)
    return Step(
        kind="llm",
        id=str(call["call_id"]),
        agent_id=agent_id,
        agent=str(call["agent"] or "unknown"),
        depth=depths.get(agent_id, 0),
        name=str(call["model"] or "model unknown"),
        start_ns=_since(call["started_ns"], zero),
        basis=call["latency_basis"] or "unknown",  # type: ignore[arg-type]  # one of Basis
        cache_write_tokens=_int(call, "cache_write_5m_tokens")
        + _int(call, "cache_write_1h_tokens"),
        sent_before_tokens=_int(call, "sent_before_tokens"),
        missed_tokens=_int(call, "missed_tokens"),
        unreported_tokens=_int(call, "unreported_tokens"),
        total_usd=sum(usd) if priced else None,  # type: ignore[arg-type]  # decimals
        cache_reported=bool(call["cache_reported"]),
        ambiguous=bool(call["ambiguous"]),
        replayable=None if scored is None else scored.score,
        gaps=() if scored is None else scored.reasons,
        changes=() if scored is None else scored.changed,
        **{name: call[name] for name in _AS_STORED},  # type: ignore[arg-type]  # columns of the store
    )


_AS_STORED = (
    "step",
    "duration_ns",
    "prefill_ns",
    "prefill_low_ns",
    "prefill_high_ns",
    "saved_ns",
    "decode_ns",
    "other_ns",
    "input_tokens",
    "cache_read_tokens",
    "output_tokens",
    "prefill_usd",
    "prefill_low_usd",
    "prefill_high_usd",
    "cached_usd",
    "unreported_usd",
    "decode_usd",
    "other_usd",
    "missed_usd",
    "price_ref",
    "price_source",
    "usage_origin",
    "finish_reason",
    "error",
)


def _tool(tool: Mapping[str, object], zero: int | None, depths: Mapping[str, int]) -> Step:
    agent_id = str(tool["agent_id"])
    return Step(
        kind="tool",
        id=str(tool["tool_call_id"]),
        step=_int(tool, "after_step"),
        agent_id=agent_id,
        agent=str(tool["agent"] or "unknown"),
        depth=depths.get(agent_id, 0),
        name=str(tool["name"]),
        start_ns=_since(tool["started_ns"], zero),
        duration_ns=tool["duration_ns"],  # type: ignore[arg-type]  # a column of the store
        error=tool["error"],  # type: ignore[arg-type]  # a column of the store
        arguments=tool["arguments"],  # type: ignore[arg-type]  # a column of the store
        result=tool["result"],  # type: ignore[arg-type]  # a column of the store
    )


def _side(row: Mapping[str, object], zero: int | None) -> SideStep:
    return SideStep(
        id=str(row["side_call_id"]),
        agent=str(row["agent"] or "unknown"),
        start_ns=_since(row["started_ns"], zero),
        total_usd=row["usd"],  # type: ignore[arg-type]  # a column of the store
        **{name: row[name] for name in _SIDE_AS_STORED},  # type: ignore[arg-type]  # columns of the store
    )


_SIDE_AS_STORED = (
    *("kind", "model", "duration_ns", "input_tokens", "price_source", "price_ref", "error"),
)


def _since(moment: object, zero: int | None) -> int | None:
    return moment - zero if isinstance(moment, int) and zero is not None else None


def _int(row: Mapping[str, object], name: str) -> int:
    value = row[name]
    return value if isinstance(value, int) else 0

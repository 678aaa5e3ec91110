"""One session step by step: LLM calls and tool calls in order, each call's wait split by phase."""

from collections.abc import Mapping

from phasewise_store import reads, side_costs
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer import replayable, rollups
from phasewise_analyzer.findings import SideStep, Step, Timeline
from phasewise_analyzer.replayable import Replayable


def timeline(store: Store, session_id: str) -> Timeline:
    """Give the session's steps, by start where times are known; raises UsageError."""
    row = rollups.session(store, session_id)
    calls = reads.llm_calls(store, Scope(session_id=session_id))
    tools = reads.tool_calls(store, session_id)
    beside = side_costs.of_session(store, session_id)
    depths = _depths(store, session_id)
    starts = [
        *calls["started_ns"].drop_nulls().to_list(),
        *tools["started_ns"].drop_nulls().to_list(),
        *beside["started_ns"].drop_nulls().to_list(),
    ]
    zero = min(starts, default=None)
    judged = replayable.of_session(store, session_id)
    steps = [
        _call(call, zero, depths, judged[call["call_id"]]) for call in calls.iter_rows(named=True)
    ]
    steps += [_tool(tool, zero, depths) for tool in tools.iter_rows(named=True)]
    steps.sort(key=_order)
    ends = [step.start_ns + (step.duration_ns or 0) for step in steps if step.start_ns is not None]
    scores = [one.score for one in judged.values()]
    mean = sum(scores) / len(scores) if scores else None
    sides = tuple(_side(one, zero) for one in beside.iter_rows(named=True))
    ends += [one.start_ns + (one.duration_ns or 0) for one in sides if one.start_ns is not None]
    return Timeline(row, tuple(steps), max(ends, default=None), mean, sides)


def _order(step: Step) -> tuple[int, int]:
    """Order by step; a tool stands behind the call that asked for it."""
    return step.step, step.kind == "tool"


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
    call: Mapping[str, object], zero: int | None, depths: Mapping[str, int], judged: Replayable
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
        replayable=judged.score,
        gaps=judged.reasons,
        changes=judged.changed,
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

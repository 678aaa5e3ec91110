"""Write received spans to a store: relate them to stored ones, derive facts, write.

A trace is derived again as a whole whenever more of it arrives, together with every trace that
describes the same calls. So a trace in seven batches gives the same result as in one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb
from phasewise_store import identity, joined_traces, steps, stored_traces, unused
from phasewise_store.facts import Batch, LlmCall, Source, Span, Written
from phasewise_store.store import Store

from phasewise_collector import conversations, linking
from phasewise_collector.dialects import aliases, usage_aliases
from phasewise_collector.dialects.content import Taken, take, without_content
from phasewise_collector.dialects.derive import Derived, derive
from phasewise_collector.otlp.spans import ReceivedSpan

Key = tuple[str, str]
"""trace and span"""


@dataclass(slots=True)
class Prepared:
    """What received spans mean together with the stored ones; nothing is written yet."""

    fresh: dict[Key, ReceivedSpan] = field(default_factory=dict)
    """spans that the store does not have"""
    derived: list[Derived] = field(default_factory=list)
    is_related: bool = False
    """whether anything of their traces was stored before: mostly nothing was"""


def prepare(store: Store, received: Sequence[ReceivedSpan]) -> Prepared:
    """Derive the facts of these spans, and again those of the stored spans they belong to."""
    best: dict[Key, ReceivedSpan] = {}
    for span in received:
        key = span.trace_id, span.span_id
        before = best.get(key)
        if before is None or _told(span) > _told(before):
            best[key] = span
    stored = stored_traces.spans(store, {trace_id for trace_id, _ in best})
    known = {(span.trace_id, span.span_id): span for span in stored}
    done = Prepared({key: span for key, span in best.items() if key not in known})
    between = store.precedence.between
    taken = {key: take(span) for key, span in between(done.fresh.items())}
    for key in best.keys() & known.keys():
        again = take(best[key])
        if _told(again.span) > _told(known[key]):
            attributes = {**known[key].attributes, **again.span.attributes}
            taken[key] = replace(again, span=replace(again.span, attributes=attributes))
    if not taken:
        return done
    traces: dict[str, list[Taken]] = {}
    for key, old in known.items():
        if key not in taken:
            traces.setdefault(old.trace_id, []).append(without_content(old))
    for one in taken.values():
        traces.setdefault(one.span.trace_id, []).append(one)
    elsewhere = _elsewhere(store, list(taken.values()), traces)
    touched = {trace_id for trace_id, _ in taken}
    done.is_related = bool(stored or elsewhere)
    done.derived = [
        derive(group)
        for group in between(linking.together(traces))
        if touched & {one.span.trace_id for one in group}
    ]
    return done


def _elsewhere(store: Store, taken: Sequence[Taken], traces: dict[str, list[Taken]]) -> bool:
    """Add the stored traces that tell of the same calls; say whether there are any."""
    wanted = linking.related(store, taken) | joined_traces.of(store, traces.keys())
    found = False
    while wanted := wanted - traces.keys():
        for old in stored_traces.spans(store, wanted):
            traces.setdefault(old.trace_id, []).append(without_content(old))
            found = True
        seen = wanted & traces.keys()
        wanted = joined_traces.of(store, seen) if seen else set()
    return found


def _told(span: ReceivedSpan | Span) -> tuple[object, ...]:
    """Rank two accounts of one span: one that is sent early may be a snapshot."""
    written = aliases.whole(span.attributes, usage_aliases.OUTPUT_TOKENS) or 0
    return written, span.end_ns, len(span.attributes), span.status != "unset"


def write(
    store: Store, connection: duckdb.DuckDBPyConnection, prepared: Prepared, source: Source
) -> Written:
    """Write what was derived in the place of what the same spans meant before."""
    derived = prepared.derived
    if not derived:
        return Written()
    old = _old_calls(store, derived) if prepared.is_related else {}
    sessions = {session.session_id for one in derived for session in one.sessions}
    sessions |= {call.session_id for call in old.values()}
    heirs = _heirs(derived, old)
    now = {call.call_id for one in derived for call in one.llm_calls}
    placed = conversations.place(connection, derived, heirs, old.keys() - now)
    stands_as = store.rewrite(_batch(placed.derived, source), heirs=heirs)
    stands = {stands_as.get(name, name) for name in now}
    gone = old.keys() - stands
    if gone:
        unused.retract_llm_calls(connection, gone)
    joined_traces.save(connection, _joined(derived))
    conversations.settle(store, connection, placed, source)
    sessions |= placed.sessions
    steps.number(connection, sessions)
    if prepared.is_related:
        beside = {side.side_call_id for one in derived for side in one.side_calls}
        whole = {span.trace_id for one in derived for span in one.spans}
        stored_traces.retract_side_calls(connection, whole, beside)
        tools = {tool.tool_call_id for one in derived for tool in one.tool_calls}
        stored_traces.retract_tool_calls(connection, whole, tools)
    if prepared.is_related or placed.moves:
        unused.drop_unused(connection, sessions)
    new = len(stands - old.keys() - set(stands_as.values()))
    return Written(
        llm_calls=new,
        known_calls=len(stands) - new,
        tool_calls=sum(len(one.tool_calls) for one in derived),
        spans=len(prepared.fresh),
    )


def _old_calls(store: Store, derived: Iterable[Derived]) -> dict[str, LlmCall]:
    """Return the stored calls that these spans alone described before; some prove to be none."""
    traces = {span.trace_id for one in derived for span in one.spans}
    calls = stored_traces.llm_calls(store, traces)
    return {call.call_id: call for call in calls if not identity.is_of_file(call)}


def _heirs(derived: Iterable[Derived], old: Mapping[str, LlmCall]) -> dict[str, str]:
    """Say which stored call's content a call goes on with, where that was another's."""
    heirs: dict[str, str] = {}
    for one in derived:
        for made in one.made:
            name = made.call.call_id
            for earlier in (made.content_of, *made.members):
                if earlier in old and old[earlier].fidelity not in (None, "none"):
                    if earlier != name:
                        heirs[name] = earlier
                    break
    return heirs


def _joined(derived: Iterable[Derived]) -> set[tuple[str, str]]:
    found = set()
    for one in derived:
        for call in one.llm_calls:
            traces = {told.trace_id for told in call.described_by}
            found |= {(here, there) for here in traces for there in traces if here != there}
    return found


def _batch(derived: Iterable[Derived], source: Source) -> Batch:
    facts = list(derived)
    # order of arrival is the order in which prompts are compared: by start, across traces
    calls = sorted(
        (call for one in facts for call in one.llm_calls), key=lambda call: call.started_ns or 0
    )
    return Batch(
        source,
        sessions=tuple({s.session_id: s for one in facts for s in one.sessions}.values()),
        agents=tuple({a.agent_id: a for one in facts for a in one.agents}.values()),
        llm_calls=tuple(calls),
        tool_calls=tuple(tool for one in facts for tool in one.tool_calls),
        spans=tuple(span for one in facts for span in one.spans),
        outcomes=tuple(said for one in facts for said in one.outcomes),
        side_calls=tuple(side for one in facts for side in one.side_calls),
    )

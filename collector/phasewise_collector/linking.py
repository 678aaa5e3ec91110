"""Bring together the traces that tell of the same calls, so that each is derived once.

An orphan trace of an SDK's own span beside the framework's trace, an engine without the caller's
context, an agent's log records beside its spans.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from phasewise_store import stored_traces
from phasewise_store.facts import Span
from phasewise_store.store import Store
from phasewise_store.stored_traces import Likeness

from phasewise_collector.dialects.content import Taken
from phasewise_collector.dialects.descriptions import (
    SLACK_NS,
    TWIN_SLACK_NS,
    are_twins,
    likeness,
    response_id,
)
from phasewise_collector.dialects.kinds import kind_of
from phasewise_collector.dialects.usage import usage_of

Traces = Mapping[str, list[Taken]]


def related(store: Store, spans: Iterable[Span]) -> set[str]:
    """Give the stored traces that may tell of the same calls as these new spans."""
    ids: set[str] = set()
    alike: list[Likeness] = []
    for span in spans:
        kind = kind_of(span.name, span.attributes, span.kind)
        if kind not in ("llm", "engine"):
            continue
        named = response_id(span)
        if named is not None:
            ids.add(named)
        if kind == "llm" and likeness(span) is not None:
            usage = usage_of(span.attributes, span.scope_name, span.scope_version)
            alike.append(
                Likeness(usage.input_tokens, usage.output_tokens, span.start_ns, span.end_ns)
            )
    return stored_traces.related(store, ids, alike, TWIN_SLACK_NS)


@dataclass(slots=True)
class _Sets:
    up: dict[str, str] = field(default_factory=dict)

    def root(self, name: str) -> str:
        while self.up[name] != name:
            name = self.up[name]
        return name

    def join(self, one: str, other: str) -> None:
        self.up[self.root(one)] = self.root(other)


def together(traces: Traces) -> list[list[Taken]]:
    """Put traces into groups; most stand alone."""
    sets = _Sets({trace_id: trace_id for trace_id in traces})
    by_response: dict[str, list[Span]] = {}
    by_likeness: dict[tuple[str, int, int], list[Span]] = {}
    for span in (one.span for trace in traces.values() for one in trace):
        kind = kind_of(span.name, span.attributes, span.kind)
        if kind not in ("llm", "engine"):
            continue
        named = response_id(span)
        if named is not None:
            by_response.setdefault(named, []).append(span)
        alike = likeness(span) if kind == "llm" else None
        if alike is not None:
            by_likeness.setdefault(alike, []).append(span)
    for spans in by_response.values():
        for one, other in _across(spans):
            if one.start_ns - SLACK_NS <= other.end_ns and other.start_ns - SLACK_NS <= one.end_ns:
                sets.join(one.trace_id, other.trace_id)
    for spans in by_likeness.values():
        for one, other in _across(spans):
            if are_twins(one, other):
                sets.join(one.trace_id, other.trace_id)
    grouped: dict[str, list[Taken]] = {}
    for trace_id in sorted(traces):
        grouped.setdefault(sets.root(trace_id), []).extend(traces[trace_id])
    return list(grouped.values())


MOST_ALIKE = 200
"""spans compared in pairs; a server that gives every call one id makes more of them"""


def _across(spans: list[Span]) -> Iterable[tuple[Span, Span]]:
    ordered = sorted(spans[:MOST_ALIKE], key=lambda span: span.start_ns)
    for place, one in enumerate(ordered):
        for other in ordered[place + 1 :]:
            if other.trace_id != one.trace_id:
                yield one, other

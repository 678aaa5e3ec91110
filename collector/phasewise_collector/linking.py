"""Link the traces that describe the same calls, so that each call is derived once.

Examples: the orphan trace of an SDK's own span next to the framework's trace, an engine without the
caller's context, an agent's log records next to its spans.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from phasewise_store import stored_traces
from phasewise_store.facts import Span
from phasewise_store.store import Store
from phasewise_store.stored_traces import Likeness, Moment

from phasewise_collector.dialects.content import Taken
from phasewise_collector.dialects.descriptions import (
    SLACK_NS,
    TWIN_SLACK_NS,
    are_nested,
    are_twins,
    is_silent,
    likeness,
)
from phasewise_collector.dialects.log_records import KIND as LOG

Traces = Mapping[str, list[Taken]]


def related(store: Store, taken: Iterable[Taken]) -> set[str]:
    """Return the stored traces that may tell of the same calls as these new spans."""
    ids: set[str] = set()
    alike: list[Likeness] = []
    silent: list[Moment] = []
    for one in taken:
        span, usage = one.span, one.usage
        if span.response_id is not None:
            ids.add(span.response_id)
        if likeness(one) is not None:
            alike.append(
                Likeness(usage.input_tokens, usage.output_tokens, span.start_ns, span.end_ns)
            )
        if one.kind == "llm" and span.service_name and span.kind != LOG:
            silent.append(Moment(span.start_ns, span.end_ns, not is_silent(one)))
    found = stored_traces.related(store, ids, alike, TWIN_SLACK_NS)
    return found | stored_traces.at_the_same_time(store, silent, TWIN_SLACK_NS)


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
    taken = [one for trace in traces.values() for one in trace]
    for first, second in (*_of_one_response(taken), *_twins(taken), *_nested(taken)):
        sets.join(first.trace_id, second.trace_id)
    grouped: dict[str, list[Taken]] = {}
    for trace_id in sorted(traces):
        grouped.setdefault(sets.root(trace_id), []).extend(traces[trace_id])
    return list(grouped.values())


def _of_one_response(taken: Iterable[Taken]) -> Iterator[tuple[Span, Span]]:
    by_response: dict[str, list[Span]] = {}
    for one in taken:
        if one.span.response_id is not None:
            by_response.setdefault(one.span.response_id, []).append(one.span)
    for spans in by_response.values():
        yield from _across(spans)


def _twins(taken: Iterable[Taken]) -> Iterator[tuple[Span, Span]]:
    by_likeness: dict[tuple[str, int, int], list[Span]] = {}
    for one in taken:
        alike = likeness(one)
        if alike is not None:
            by_likeness.setdefault(alike, []).append(one.span)
    for spans in by_likeness.values():
        if len({span.scope_name for span in spans}) < 2:
            continue  # one instrumentor describes a call once
        yield from (pair for pair in _across(spans) if are_twins(*pair))


def _nested(taken: Iterable[Taken]) -> Iterator[tuple[Span, Span]]:
    by_service: dict[str, list[Taken]] = {}
    for one in taken:
        if one.kind == "llm" and one.span.service_name and one.span.kind != LOG:
            by_service.setdefault(one.span.service_name, []).append(one)
    for of_service in by_service.values():
        if not any(is_silent(one) for one in of_service):
            continue
        told = {(one.span.trace_id, one.span.span_id): one for one in of_service}
        for first, second in _across([one.span for one in of_service]):
            both = [told[span.trace_id, span.span_id] for span in (first, second)]
            if are_nested(*both):
                yield first, second


def _across(spans: list[Span]) -> Iterator[tuple[Span, Span]]:
    """Return the pairs of two traces that are near enough in time to be looked at."""
    ordered = sorted(spans, key=lambda span: span.start_ns)
    for place, one in enumerate(ordered):
        for other in islice(ordered, place + 1, None):
            if other.start_ns > one.end_ns + SLACK_NS:
                break
            if other.trace_id != one.trace_id:
                yield one, other

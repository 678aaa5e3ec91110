"""Facts of the spans in a file, by the same dialects that read spans as they arrive."""

from collections.abc import Iterable

from phasewise_store.facts import Batch, Source

from phasewise_collector import linking
from phasewise_collector.dialects.content import Taken, take
from phasewise_collector.dialects.derive import derive
from phasewise_collector.otlp.spans import ReceivedSpan


def batch_of(spans: Iterable[ReceivedSpan], source: Source) -> Batch:
    """Derive the facts; a span that stands in the file twice counts once."""
    once = {(span.trace_id, span.span_id): span for span in spans}
    traces: dict[str, list[Taken]] = {}
    for span in once.values():
        traces.setdefault(span.trace_id, []).append(take(span))
    facts = [derive(group) for group in linking.together(traces)]
    calls = sorted((c for one in facts for c in one.llm_calls), key=lambda c: c.started_ns or 0)
    return Batch(
        source,
        sessions=tuple({s.session_id: s for one in facts for s in one.sessions}.values()),
        agents=tuple({a.agent_id: a for one in facts for a in one.agents}.values()),
        llm_calls=tuple(calls),
        tool_calls=tuple(tool for one in facts for tool in one.tool_calls),
        spans=tuple(span for one in facts for span in one.spans),
        side_calls=tuple(side for one in facts for side in one.side_calls),
        numbered=False,
    )

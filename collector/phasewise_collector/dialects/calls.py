"""Build one LLM call from all spans that describe it, each fact from the best description."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from phasewise_store import identity
from phasewise_store.facts import Description, Fidelity, LlmCall, Segment, Span, Usage

from phasewise_collector.dialects import aliases, usage_aliases, wire
from phasewise_collector.dialects.chat_values import parsed
from phasewise_collector.dialects.content import Taken, ids
from phasewise_collector.dialects.labels import labels
from phasewise_collector.dialects.log_records import KIND as LOG
from phasewise_collector.dialects.tree import Tree, text_of
from phasewise_collector.dialects.usage import merged

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Made:
    """A call, and where its content is if it did not come with its spans this time."""

    call: LlmCall
    members: tuple[str, ...]
    """keys of the spans that describe it"""
    content_of: str
    """the member whose prompt is the best"""


def make_call(tree: Tree, members: Sequence[str], pieces: Sequence[str] = ()) -> Made:
    """Merge what a group of spans says; `pieces` are log records with parts of its content."""
    spans = {key: tree.span(key) for key in members}
    base = max(members, key=lambda key: _as_base(tree, key))
    usages = {key: tree.taken[key].usage for key in members}
    usage_by = max(members, key=lambda key: (*_worth(tree, key, usages[key]), key == base))
    if wire.is_wire(spans[base]) and usages[base].origin == "absent":
        usage_by = base  # refused: no estimate of its text is anything that was read
    content_by = max(members, key=lambda key: _content_rank(tree.taken[key]))
    answer_by = max(members, key=lambda key: (bool(tree.taken[key].output), key == content_by))
    agent_by = max(members, key=lambda key: (*_placement(tree, key), key == base))
    span = spans[base]
    duration_ns = max(0, span.end_ns - span.start_ns)
    at_wire = wire.is_wire(span)
    engines = [key for key in members if tree.kinds[key] == "engine"]
    # what the wire saw is so: a framework's first chunk may be no token, its error its own
    first_by, first_ns = _first_token(tree, [base, *(engines if at_wire else members)])
    prompt, fidelity = tree.taken[content_by].prompt, _fidelity(spans[content_by])
    output = tree.taken[answer_by].output
    if pieces:
        extra = sorted((tree.taken[key] for key in pieces), key=lambda one: one.span.start_ns)
        if not prompt:
            prompt, fidelity = _joined(one.prompt for one in extra), "events"
        output = output or _joined(one.output for one in extra)
    usage = _with_all_billing(usages[usage_by], usages.values())
    if usage.origin != "reported" and pieces and prompt:
        usage = replace(_estimated(prompt, output), billing=usage.billing)
    ordered = [base, *(key for key in members if key != base)]
    witnesses = [base] if at_wire else ordered
    call = LlmCall(
        call_id=base,
        session_id=tree.session(agent_by),
        agent_id=tree.agent(agent_by).agent_id,
        step=0,  # numbered in the store, which knows the session's other traces
        usage=usage,
        provider=_any_text(spans, ordered, aliases.PROVIDER),
        model=_any_text(spans, ordered, aliases.MODEL),
        started_ns=span.start_ns,
        duration_ns=duration_ns,
        ttft_ns=None if first_ns is None else min(max(0, first_ns - span.start_ns), duration_ns),
        prompt=prompt,
        output=output,
        reported_cost_usd=_any_number(spans, ordered, usage_aliases.COST_USD),
        finish_reason=_any_text(spans, ordered, aliases.FINISH_REASON),
        error=next(filter(None, (_error(spans[key]) for key in witnesses)), None),
        streamed=_streamed(spans, witnesses, first_ns),
        trace_id=span.trace_id,
        span_id=span.span_id,
        request=_parameters(spans[key] for key in reversed(ordered)),
        user_id=tree.user(agent_by),
        response_id=next(filter(None, (spans[key].response_id for key in ordered)), None),
        fidelity=fidelity,
        dropped_attributes=spans[content_by].dropped_attributes,
        truncated=aliases.first(spans[content_by].attributes, aliases.TRUNCATED) is not None,
        identities=identity.of_ids(*(one for key in ordered for one in ids(spans[key].attributes))),
        labels=labels(tree.span(key) for key in (agent_by, *tree.above(agent_by), *members)),
    )
    for key in engines:
        call = _with_engine(call, spans[key])
    given: dict[str, list[str]] = {key: [] for key in members}
    given[usage_by].append("usage")
    if fidelity != "none":
        given[content_by].append("prompt")
    given[base].append("times")
    if first_by is not None and first_by != base:
        given[first_by].append("first token")
    for key in engines:
        given[key].append("phases")
    if agent_by != base:
        given[agent_by].append("agent")
    call = replace(
        call, described_by=tuple(_description(spans[key], given[key]) for key in ordered)
    )
    return Made(call, tuple(members), content_by)


def make_call_of_pieces(tree: Tree, trace_id: str, span_id: str, pieces: Sequence[str]) -> Made:
    """Make a call of log records whose span has not come (yet), under that span's id."""
    made = make_call(tree, pieces, pieces)
    call = replace(made.call, call_id=f"{trace_id}-{span_id}", trace_id=trace_id, span_id=span_id)
    return Made(call, (call.call_id, *pieces), call.call_id)


def _as_base(tree: Tree, key: str) -> tuple[object, ...]:
    """Rank by whose times are the call's: a span, of the caller, at the wire, innermost, longest.

    A framework's span of a stream may end when the stream is handed on.
    """
    span = tree.span(key)
    depth = sum(1 for one in tree.above(key) if tree.kinds[one] == "llm")
    return (
        tree.kinds[key] != "engine",
        span.kind != LOG,
        wire.is_wire(span),
        span.scope_name in aliases.WIRE_SCOPES,
        depth,
        span.end_ns - span.start_ns,
        key,
    )


def _placement(tree: Tree, key: str) -> tuple[object, ...]:
    """Rank by who knows session and agent: a framework's span does, an SDK's root does not."""
    above = any(True for _ in tree.above(key))
    return (
        tree.has_agent(key),
        tree.names_session(key),
        above,
        tree.span(key).scope_name not in aliases.WIRE_SCOPES,
    )


def _worth(tree: Tree, key: str, usage: Usage) -> tuple[object, ...]:
    origins = {"reported": 2, "recovered": 2, "estimated": 1, "absent": 0}
    return (
        origins[usage.origin],
        usage.cache_reported,
        not usage.ambiguous,
        usage.output_tokens > 0,
        usage.cache_write_1h_tokens > 0,
        tree.kinds[key] != "engine",
        usage.reasoning_tokens > 0,
    )


def _content_rank(taken: Taken) -> tuple[object, ...]:
    span = taken.span
    return (
        aliases.FIDELITIES.index(_fidelity(span)),
        not span.dropped_attributes,
        aliases.first(span.attributes, aliases.TRUNCATED) is None,
        aliases.number(span.attributes, usage_aliases.ESTIMATED_INPUT) or 0,
    )


def _fidelity(span: Span) -> Fidelity:
    found: Any = aliases.text(span.attributes, aliases.CONTENT) or "none"
    known: Fidelity = found
    return known


def _joined(parts: Iterable[tuple[Segment, ...]]) -> tuple[Segment, ...]:
    return tuple(segment for part in parts for segment in part)


def _with_all_billing(usage: Usage, described: Iterable[Usage]) -> Usage:
    """Add what only another description says of the price: the answer's tier, its searches."""
    billing = usage.billing
    for other in described:
        if other.billing is not billing:
            billing = merged(billing, other.billing)
    return usage if billing is usage.billing else replace(usage, billing=billing)


def _estimated(prompt: Sequence[Segment], output: Sequence[Segment]) -> Usage:
    return Usage(
        uncached_tokens=sum(segment.tokens for segment in prompt),
        output_tokens=sum(segment.tokens for segment in output),
        origin="estimated",
        cache_reported=False,
    )


def _first_token(tree: Tree, keys: Sequence[str]) -> tuple[str | None, int | None]:
    """Return the moment of the first token, and who saw it; an engine's is the last resort."""
    for key in sorted(keys, key=lambda one: tree.kinds[one] == "engine"):
        span = tree.span(key)
        after_ns = _after_ns(span)
        if after_ns is not None:
            return key, span.start_ns + after_ns
    return None, None


_SURELY_NO_SECONDS = 10
"""a stream may be handed on, and its span ended, before its first token: not for this long"""


def _after_ns(span: Span) -> int | None:
    attributes = span.attributes
    exact = aliases.whole(attributes, aliases.FIRST_TOKEN_NS)
    if exact is not None:
        return exact
    in_ms = aliases.number(attributes, aliases.FIRST_TOKEN_MS)
    if in_ms is not None:
        return round(in_ms * 1e6)
    at = aliases.text(attributes, aliases.FIRST_TOKEN_AT)
    if at is not None:
        try:
            moment = datetime.fromisoformat(at.strip('"'))
        except ValueError:
            return None
        return max(0, round(moment.timestamp() * 1e9) - span.start_ns)
    return _in_seconds(span, aliases.number(attributes, aliases.FIRST_TOKEN_S))


def _in_seconds(span: Span, after: float | None) -> int | None:
    """Read a number whose name says seconds; some senders write milliseconds there.

    Strands does. A token that came after the span's end, and far too late for one, is taken in the
    unit in which it lies inside the span.
    """
    if after is None:
        return None
    lasted_ns = span.end_ns - span.start_ns
    in_ns = (after * unit_ns for unit_ns in (1e9, 1e6, 1e3))
    inside = next((one for one in in_ns if one <= lasted_ns), None)
    if after < _SURELY_NO_SECONDS or inside is None:
        inside = after * 1e9
    return None if inside > aliases.MOST else round(inside)


def _with_engine(call: LlmCall, span: Span) -> LlmCall:
    """Add the engine's own phases."""
    queue, prefill, decode = (
        aliases.nanoseconds(span.attributes, names)
        for names in (aliases.QUEUE_S, aliases.ENGINE_PREFILL_S, aliases.ENGINE_DECODE_S)
    )
    return replace(call, queue_ns=queue, engine_prefill_ns=prefill, engine_decode_ns=decode)


def _description(span: Span, gave: Sequence[str]) -> Description:
    scope = f"{span.scope_name or span.service_name or span.name} {span.scope_version}".strip()
    return Description(span.trace_id, span.span_id, scope, tuple(gave))


def _any_text(
    spans: Mapping[str, Span], ordered: Sequence[str], names: Sequence[str]
) -> str | None:
    return _any(spans, ordered, lambda span: text_of(span, names))


def _any_number(
    spans: Mapping[str, Span], ordered: Sequence[str], names: Sequence[str]
) -> float | None:
    return _any(spans, ordered, lambda span: aliases.number(span.attributes, names))


def _any(
    spans: Mapping[str, Span], ordered: Sequence[str], read: Callable[[Span], T | None]
) -> T | None:
    return next((found for key in ordered if (found := read(spans[key])) is not None), None)


def _streamed(
    spans: Mapping[str, Span], ordered: Sequence[str], first_ns: int | None
) -> bool | None:
    """Return whether the answer came in pieces: a first token, or any description, says so."""
    said: list[object] = []
    for key in ordered:
        said.append(aliases.first(spans[key].attributes, aliases.STREAMED))
        said.append(_parameters([spans[key]]).get("stream"))
    if first_ns is not None or True in said:
        return True
    return False if False in said else None


def _error(span: Span) -> str | None:
    if span.status != "error":
        return None
    return span.status_message or "the span has an error status without a message"


_BESIDE = {
    "cache_markers": aliases.CACHE_MARKERS,
    "cache_diagnosis": aliases.CACHE_DIAGNOSIS,
}
"""kept with the parameters, though they stood in the prompt and in the answer"""


def _parameters(spans: Iterable[Span]) -> dict[str, object]:
    """Return the request's parameters; a later span's win."""
    found: dict[str, object] = {}
    prefix = "gen_ai.request."
    for span in spans:
        given = text_of(span, aliases.PARAMETERS)
        if given is not None:
            sent = parsed(given)
            if isinstance(sent, dict):
                found |= {
                    name: value for name, value in sent.items() if name not in ("messages", "tools")
                }
        for name, spelt in _BESIDE.items():
            written = parsed(text_of(span, spelt))
            if isinstance(written, list | dict):  # not what someone else has put there
                found[name] = written
        for name, value in span.attributes.items():
            if name.startswith(prefix) and name not in (
                "gen_ai.request.model",
                "gen_ai.request.id",
            ):
                found[name.removeprefix(prefix)] = value
    return found

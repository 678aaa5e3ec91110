"""Embedding and reranking calls among the spans: an agent pays for them, and they generate no text.

A framework's span around the SDK's own, and Vercel's `ai.embed` around `ai.embed.doEmbed`, describe
one call twice: the innermost span with token counts is the call.
"""

from collections.abc import Iterator
from typing import cast

from phasewise_store.facts import SideCall, SideKind, Span

from phasewise_collector.dialects import aliases, blobs, usage_aliases, wire
from phasewise_collector.dialects.tree import Tree, key_of, text_of
from phasewise_collector.usage.reader import usage_of, usage_of_body

KINDS = frozenset({"embedding", "rerank"})
_TOKENS = (
    *usage_aliases.INPUT_TOKENS,
    *usage_aliases.INPUT_WITHOUT_CACHE,
    *usage_aliases.TOTAL_TOKENS,
    *usage_aliases.TOTAL_OF_AI_SDK,
)


def side_calls(tree: Tree) -> Iterator[SideCall]:
    """Return each embedding and reranking once."""
    keys = [key for key, kind in tree.kinds.items() if kind in KINDS]
    described = {key: _tokens(tree.span(key)) for key in keys}
    twice: set[str] = set()
    for key in keys:
        around = [one for one in tree.above(key) if tree.kinds[one] == tree.kinds[key]]
        if described[key] or not any(described[one] for one in around):
            twice.update(around)
        else:
            twice.add(key)
    for key in keys:
        if key not in twice:
            yield _made(tree, key, described[key])


def _made(tree: Tree, key: str, tokens: int) -> SideCall:
    span = tree.span(key)
    return SideCall(
        side_call_id=key_of(span),
        session_id=tree.session(key),
        agent_id=tree.agent(key).agent_id,
        kind=cast("SideKind", tree.kinds[key]),
        provider=text_of(span, aliases.PROVIDER),
        model=text_of(span, aliases.MODEL),
        started_ns=span.start_ns,
        duration_ns=max(0, span.end_ns - span.start_ns),
        input_tokens=tokens,
        reported_cost_usd=aliases.number(span.attributes, usage_aliases.COST_USD),
        error=(span.status_message or "error") if span.status == "error" else None,
        trace_id=span.trace_id,
        span_id=span.span_id,
    )


def _tokens(span: Span) -> int:
    plain = aliases.whole(span.attributes, _TOKENS)
    if plain is not None:
        return plain
    found = [usage_of_body(blobs.object_in(span.attributes.get(wire.USAGE)))]
    for name in usage_aliases.WHOLE_USAGE:
        found.append(usage_of(blobs.object_in(span.attributes.get(name))))
    return next((usage.input_tokens for usage in found if usage is not None), 0)

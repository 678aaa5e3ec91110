"""Merge two descriptions of one call per field: the most complete value wins, in any order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from phasewise_store import identity
from phasewise_store.facts import Description, Labels, LlmCall, Usage

T = TypeVar("T", str, float, int, bool)

_ORIGINS = {"reported": 2, "recovered": 2, "estimated": 1, "absent": 0}
_FIDELITIES = {"none": 0, "events": 1, "flattened": 2, "messages": 3, None: 4, "verbatim": 5}
"""None is a file that is exact in what it holds; the request as it was sent holds the tools, too"""


def worth(usage: Usage) -> tuple[object, ...]:
    """Rank usages: reported ones first, then the later snapshot, then the more detailed one."""
    return (
        _ORIGINS[usage.origin],
        usage.output_tokens,
        not usage.ambiguous,
        usage.cache_reported,
        usage.cache_write_1h_tokens,
        usage.reasoning_tokens,
        usage.input_tokens,
    )


def content_rank(call: LlmCall, prompt_tokens: int) -> tuple[int, int]:
    """Rank prompts: the most exact one first, then the longest."""
    return (_FIDELITIES[call.fidelity] if prompt_tokens else 0, prompt_tokens)


def merged(old: LlmCall, new: LlmCall, *, new_prompt: bool, file: str) -> LlmCall:
    """Return what both say of a call, under the old one's id.

    `new_prompt` says whose prompt is kept; `file` names the format where a file tells of one of
    them. The content is that of `new`; the caller takes out what is not to replace the old.
    """
    known = replace(old, prompt=new.prompt, output=new.output)
    usage_by = max((new, known), key=lambda one: worth(one.usage))
    placed = min((known, new), key=_place)
    prompt_by = new if new_prompt else known
    made = replace(
        known,
        session_id=placed.session_id,
        agent_id=placed.agent_id,
        usage=usage_by.usage,
        provider=_longest(known.provider, new.provider),
        model=_longest(known.model, new.model),
        queue_ns=_either(known.queue_ns, new.queue_ns),
        engine_prefill_ns=_either(known.engine_prefill_ns, new.engine_prefill_ns),
        engine_decode_ns=_either(known.engine_decode_ns, new.engine_decode_ns),
        block_tokens=_either(known.block_tokens, new.block_tokens),
        reported_cost_usd=_most(known.reported_cost_usd, new.reported_cost_usd),
        finish_reason=usage_by.finish_reason or known.finish_reason or new.finish_reason,
        error=known.error or new.error,
        streamed=_most(known.streamed, new.streamed),
        request={**known.request, **new.request},
        user_id=_longest(known.user_id, new.user_id),
        response_id=_answer_id(known.response_id, new.response_id),
        fidelity=prompt_by.fidelity,
        dropped_attributes=prompt_by.dropped_attributes,
        truncated=prompt_by.truncated,
        described_by=_descriptions(known, new, file),
        labels=_labels(known.labels, new.labels),
        identities=tuple(dict.fromkeys((*known.identities, *new.identities))),
    )
    return _timed(made, known, new)


def _timed(made: LlmCall, old: LlmCall, new: LlmCall) -> LlmCall:
    """Take the times that were measured; a file's are those of its entries, the widest are right.

    A caller's span says when its request went out and when it ended.
    """
    if identity.is_of_spans(new) != identity.is_of_spans(old) or identity.is_of_spans(new):
        exact = new if identity.is_of_spans(new) else old
        other = old if exact is new else new
        return replace(
            made,
            trace_id=exact.trace_id or other.trace_id,
            span_id=exact.span_id or other.span_id,
            started_ns=_either(exact.started_ns, other.started_ns),
            duration_ns=_either(exact.duration_ns, other.duration_ns),
            ttft_ns=_either(exact.ttft_ns, other.ttft_ns),
        )
    starts = [one.started_ns for one in (old, new) if one.started_ns is not None]
    ends = [
        one.started_ns + one.duration_ns
        for one in (old, new)
        if one.started_ns is not None and one.duration_ns is not None
    ]
    start_ns = min(starts, default=None)
    return replace(
        made,
        started_ns=start_ns,
        duration_ns=max(ends) - start_ns if ends and start_ns is not None else made.duration_ns,
        ttft_ns=_either(old.ttft_ns, new.ttft_ns),
    )


def _place(call: LlmCall) -> tuple[object, ...]:
    """Rank by who knows session and agent: the session's own file; of two files always the same."""
    return (not identity.is_of_file(call), call.session_id, call.agent_id)


def _descriptions(old: LlmCall, new: LlmCall, file: str) -> tuple[Description, ...]:
    if not old.described_by and not new.described_by:
        return ()
    told = {(one.trace_id, one.span_id): one for one in (*old.described_by, *new.described_by)}
    if not (old.described_by and new.described_by):
        told.setdefault(("", ""), Description("", "", file, ("session",)))
    spans = [one for key, one in told.items() if key != ("", "")]
    return (*spans, *(one for key, one in told.items() if key == ("", "")))


def _labels(old: Labels, new: Labels) -> Labels:
    return Labels(
        _longest(old.version, new.version),
        _longest(old.customer, new.customer),
        tuple(sorted({*old.tags, *new.tags})),
        {**old.metadata, **new.metadata},
    )


def _answer_id(*ids: str | None) -> str | None:
    named = sorted({one for one in ids if one}, key=lambda one: (identity.of_ids(one), one))
    return named[0] if named else None


def _longest(*texts: str | None) -> str | None:
    return _best(texts, lambda one: (len(one), one))


def _most(*numbers: T | None) -> T | None:
    return _best(numbers, lambda one: one)


def _best(values: Sequence[T | None], rank: Callable[[T], object]) -> T | None:
    there = [value for value in values if value is not None]
    return max(there, key=rank) if there else None  # type: ignore[arg-type]  # ranks compare


def _either(one: T | None, other: T | None) -> T | None:
    return other if one is None else one

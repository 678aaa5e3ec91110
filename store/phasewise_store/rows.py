"""Facts as columns: one polars frame per table, in the order of the table's columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson
import polars as pl
import zstandard

from phasewise_store import billing, tool_text
from phasewise_store.facts import (
    Agent,
    LlmCall,
    Outcome,
    Segment,
    Session,
    SideCall,
    Source,
    Span,
    ToolCall,
)
from phasewise_store.trie import Node, segment_id

_TEXT, _INT, _ID = pl.String(), pl.Int64(), pl.UInt64()

SESSIONS = {
    "session_id": _TEXT,
    "source_id": _TEXT,
    "name": _TEXT,
    "started_ns": _INT,
    "ended_ns": _INT,
    "outcome": _TEXT,
}
AGENTS = {"agent_id": _TEXT, "session_id": _TEXT, "name": _TEXT, "parent_agent_id": _TEXT}
SEGMENTS = {
    "segment_id": _ID,
    "digest": pl.Binary(),
    "kind": _TEXT,
    "role": _TEXT,
    "tokens": _INT,
    "bytes": _INT,
    "content": pl.Binary(),
}
NODES = {
    "node_id": _ID,
    "parent_id": _ID,
    "segment_id": _ID,
    "depth": _INT,
    "tokens_end": _INT,
}
TOOL_CALLS = {
    "tool_call_id": _TEXT,
    "source_id": _TEXT,
    "session_id": _TEXT,
    "agent_id": _TEXT,
    "name": _TEXT,
    "after_step": _INT,
    "started_ns": _INT,
    "duration_ns": _INT,
    "error": _TEXT,
    "trace_id": _TEXT,
    "span_id": _TEXT,
    "derived": pl.Boolean(),
    "arguments": _TEXT,
    "result": _TEXT,
}
SIDE_CALLS = {
    "side_call_id": _TEXT,
    "source_id": _TEXT,
    "session_id": _TEXT,
    "agent_id": _TEXT,
    "kind": _TEXT,
    "provider": _TEXT,
    "model": _TEXT,
    "started_ns": _INT,
    "duration_ns": _INT,
    "input_tokens": _INT,
    "reported_cost_usd": pl.Float64(),
    "error": _TEXT,
    "trace_id": _TEXT,
    "span_id": _TEXT,
    "price_source": _TEXT,
}
SPANS = {
    "trace_id": _TEXT,
    "span_id": _TEXT,
    "parent_span_id": _TEXT,
    "name": _TEXT,
    "kind": _TEXT,
    "start_ns": _INT,
    "end_ns": _INT,
    "service_name": _TEXT,
    "scope_name": _TEXT,
    "scope_version": _TEXT,
    "status": _TEXT,
    "status_message": _TEXT,
    "attributes": _TEXT,
    "dropped_attributes": _INT,
    "session_id": _TEXT,
    "agent_id": _TEXT,
    "response_id": _TEXT,
}
LLM_CALLS = {
    "call_id": _TEXT,
    "ordinal": _INT,
    "source_id": _TEXT,
    "session_id": _TEXT,
    "agent_id": _TEXT,
    "step": _INT,
    "trace_id": _TEXT,
    "span_id": _TEXT,
    "provider": _TEXT,
    "model": _TEXT,
    "started_ns": _INT,
    "duration_ns": _INT,
    "ttft_ns": _INT,
    "queue_ns": _INT,
    "engine_prefill_ns": _INT,
    "engine_decode_ns": _INT,
    "input_tokens": _INT,
    "uncached_tokens": _INT,
    "cache_read_tokens": _INT,
    "cache_write_5m_tokens": _INT,
    "cache_write_1h_tokens": _INT,
    "output_tokens": _INT,
    "reasoning_tokens": _INT,
    "usage_origin": _TEXT,
    "ambiguous": pl.Boolean(),
    "cache_reported": pl.Boolean(),
    "input_tokens_high": _INT,
    "block_tokens": _INT,
    "leaf_node": _ID,
    "output_segments": pl.List(pl.UInt64()),
    "reported_cost_usd": pl.Float64(),
    "finish_reason": _TEXT,
    "error": _TEXT,
    "streamed": pl.Boolean(),
    "request": _TEXT,
    "user_id": _TEXT,
    "response_id": _TEXT,
    "fidelity": _TEXT,
    "dropped_attributes": _INT,
    "truncated": pl.Boolean(),
    "described_by": _TEXT,
    "version": _TEXT,
    "customer": _TEXT,
    "tags": pl.List(_TEXT),
    "metadata": _TEXT,
    "billing": _TEXT,
}
OUTCOMES = {
    "session_id": _TEXT,
    "outcome": _TEXT,
    "revenue_usd": pl.Float64(),
    "customer": _TEXT,
    "said_ns": _INT,
}

_USAGE = {
    "input_tokens",
    "uncached_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "ambiguous",
    "cache_reported",
    "input_tokens_high",
}


def to_json(value: object) -> str:
    """Write a mapping as JSON with sorted keys; what JSON does not know becomes its text."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, default=str, option=options).decode()


def sessions(source: Source, facts: Iterable[Session]) -> pl.DataFrame:
    """Return the rows of `sessions`."""
    return _frame(SESSIONS, facts, {"source_id": source.source_id})


def agents(facts: Iterable[Agent]) -> pl.DataFrame:
    """Return the rows of `agents`."""
    return _frame(AGENTS, facts, {})


def outcomes(facts: Iterable[Outcome]) -> pl.DataFrame:
    """Return the rows of `outcomes`: of a session's outcomes the one that was said last."""
    last = {one.session_id: one for one in sorted(facts, key=lambda one: one.said_ns or 0)}
    return _frame(OUTCOMES, last.values(), {})


def tool_calls(source: Source, facts: Iterable[ToolCall]) -> pl.DataFrame:
    """Return the rows of `tool_calls`, their text cut to what is stored."""
    cut = (
        replace(one, arguments=tool_text.stored(one.arguments), result=tool_text.stored(one.result))
        for one in facts
    )
    return _frame(TOOL_CALLS, cut, {"source_id": source.source_id})


def side_calls(source: Source, facts: Iterable[SideCall]) -> pl.DataFrame:
    """Return the rows of `side_calls`, not priced yet."""
    constants = {"source_id": source.source_id, "price_source": None}
    return _frame(SIDE_CALLS, facts, constants)


def spans(facts: Iterable[Span]) -> pl.DataFrame:
    """Return the rows of `spans`."""
    rows = tuple(facts)
    frame = _frame(SPANS, rows, {"attributes": ""})
    return frame.with_columns(pl.Series("attributes", [to_json(s.attributes) for s in rows], _TEXT))


def segments(facts: Iterable[Segment]) -> pl.DataFrame:
    """Return the rows of `segments`, each text compressed on its own."""
    compress = zstandard.ZstdCompressor(level=3).compress
    rows = tuple(facts)
    texts = [s.content for s in rows]
    return pl.DataFrame(
        {
            "segment_id": [segment_id(s) for s in rows],
            "digest": [s.digest for s in rows],
            "kind": [s.kind for s in rows],
            "role": [s.role for s in rows],
            "tokens": [s.tokens for s in rows],
            "bytes": [None if text is None else len(text) for text in texts],
            "content": [None if text is None else compress(text) for text in texts],
        },
        schema=SEGMENTS,
    )


def nodes(facts: Iterable[Node]) -> pl.DataFrame:
    """Return the rows of `nodes`."""
    rows = tuple(facts)
    return pl.DataFrame(
        {
            "node_id": [n.node_id for n in rows],
            "parent_id": [n.parent_id for n in rows],
            "segment_id": [segment_id(n.segment) for n in rows],
            "depth": [n.depth for n in rows],
            "tokens_end": [n.tokens_end for n in rows],
        },
        schema=NODES,
    )


def llm_calls(
    source: Source, facts: Sequence[LlmCall], leaves: Sequence[int], first_ordinal: int
) -> pl.DataFrame:
    """Return the rows of `llm_calls`; `leaves` are the calls' trie leaves, in their order."""
    columns: dict[str, list[object]] = {
        name: [getattr(call.usage if name in _USAGE else call, name) for call in facts]
        for name in LLM_CALLS
        if name in _USAGE or name in LlmCall.__slots__
    }
    columns["ordinal"] = list(range(first_ordinal, first_ordinal + len(facts)))
    columns["source_id"] = [source.source_id] * len(facts)
    columns["usage_origin"] = [call.usage.origin for call in facts]
    columns["leaf_node"] = list(leaves)
    columns["output_segments"] = [[segment_id(s) for s in call.output] for call in facts]
    columns["request"] = [to_json(call.request) for call in facts]
    columns["described_by"] = [to_json(call.described_by) for call in facts]
    columns["version"] = [call.labels.version for call in facts]
    columns["customer"] = [call.labels.customer for call in facts]
    columns["tags"] = [list(call.labels.tags) or None for call in facts]
    columns["metadata"] = [
        to_json(call.labels.metadata) if call.labels.metadata else None for call in facts
    ]
    columns["billing"] = [billing.to_json(call.usage.billing) for call in facts]
    return pl.DataFrame({name: columns[name] for name in LLM_CALLS}, schema=LLM_CALLS)


def _frame(
    schema: Mapping[str, pl.DataType], facts: Iterable[object], constants: Mapping[str, object]
) -> pl.DataFrame:
    rows = tuple(facts)
    columns = {
        name: [constants[name]] * len(rows)
        if name in constants
        else [getattr(row, name) for row in rows]
        for name in schema
    }
    return pl.DataFrame(columns, schema=dict(schema))

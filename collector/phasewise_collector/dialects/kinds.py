"""Classify a span by what its convention says it describes."""

from typing import Literal

from phasewise_collector.dialects import aliases, usage_aliases
from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.dialects.log_records import KIND as LOG

Kind = Literal["llm", "engine", "tool", "agent", "embedding", "rerank", "message", "plumbing"]
"""an LLM call; an engine's own account of one; a tool run; an agent; a paid call that writes no
text; content of the span above it, as a log record; anything else"""

_TOOLS: dict[str, Kind] = dict.fromkeys(aliases.TOOL_KINDS, "tool")
_AGENTS: dict[str, Kind] = dict.fromkeys(aliases.AGENT_KINDS, "agent")
_EMBEDDINGS: dict[str, Kind] = dict.fromkeys(aliases.EMBEDDING_KINDS, "embedding")
_RERANKINGS: dict[str, Kind] = dict.fromkeys(aliases.RERANK_KINDS, "rerank")
_OTHER = _TOOLS | _AGENTS | _EMBEDDINGS | _RERANKINGS


def kind_of(name: str, attributes: Attributes, span_kind: str = "") -> Kind:
    """Return the kind of a span by its name, its attributes, and `Span.kind`."""
    if span_kind == LOG:
        return _kind_of_record(name, attributes)
    if name in aliases.ENGINE_SPANS and any(
        key.startswith("gen_ai.latency.") for key in attributes
    ):
        return "engine"
    word = _word(attributes)
    if word in aliases.LLM_KINDS:
        # instrumentors call every request of an SDK so, also one that lists models
        return "llm" if _is_of_a_model(attributes) else "plumbing"
    if not word and aliases.whole(attributes, usage_aliases.OUTPUT_TOKENS) is not None:
        return "llm"  # old conventions had no word for it
    if aliases.text(attributes, aliases.TOOL) in aliases.NO_TOOLS:
        return "plumbing"
    return _OTHER.get(word, "plumbing")


def may_be_llm(name: str, attributes: Attributes, span_kind: str = "") -> bool:
    """Return whether a span that arrives may hold an LLM call's content."""
    if span_kind == LOG:
        return _kind_of_record(name, attributes) in ("llm", "message")
    word = _word(attributes)
    return word in aliases.LLM_KINDS or (not word and _is_of_a_model(attributes))


def _kind_of_record(name: str, attributes: Attributes) -> Kind:
    if name in aliases.LLM_RECORDS:
        return "llm"
    if name == aliases.CODEX_RECORD:
        done = aliases.text(attributes, aliases.CODEX_KIND) == aliases.CODEX_DONE
        return "llm" if done else "plumbing"
    if name in aliases.TOOL_RECORDS:
        return "tool"
    return "message" if name in aliases.MESSAGE_RECORDS else "plumbing"


def _word(attributes: Attributes) -> str:
    return (aliases.text(attributes, aliases.KIND) or "").upper()


def _is_of_a_model(attributes: Attributes) -> bool:
    names = (
        *(aliases.MODEL, usage_aliases.INPUT_TOKENS, usage_aliases.OUTPUT_TOKENS),
        *(usage_aliases.ESTIMATED_INPUT, usage_aliases.ESTIMATED_OUTPUT),
        usage_aliases.WHOLE_USAGE,
    )
    return any(aliases.first(attributes, one) is not None for one in names)

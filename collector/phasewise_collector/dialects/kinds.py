"""Say what a span describes, by the conventions' own words for it."""

from typing import Literal

from phasewise_collector.dialects import aliases
from phasewise_collector.dialects.aliases import Attributes

Kind = Literal["llm", "engine", "tool", "agent", "plumbing"]
"""an LLM call; an engine's own account of one; a tool run; an agent; anything else"""


def kind_of(name: str, attributes: Attributes) -> Kind:
    """Give the kind of a span by its name and attributes."""
    if name in aliases.ENGINE_SPANS and any(
        key.startswith("gen_ai.latency.") for key in attributes
    ):
        return "engine"
    word = _word(attributes)
    if word in aliases.LLM_KINDS:
        # instrumentors call every request of an SDK so, also one that lists models
        return "llm" if _is_of_a_model(attributes) else "plumbing"
    if word in aliases.TOOL_KINDS:
        return "tool"
    if word in aliases.AGENT_KINDS:
        return "agent"
    if not word and aliases.whole(attributes, aliases.OUTPUT_TOKENS) is not None:
        return "llm"  # old conventions had no word for it
    return "plumbing"


def may_be_llm(attributes: Attributes) -> bool:
    """Say whether a span that arrives may hold an LLM call's content."""
    word = _word(attributes)
    return word in aliases.LLM_KINDS or (not word and _is_of_a_model(attributes))


def _word(attributes: Attributes) -> str:
    return (aliases.text(attributes, aliases.KIND) or "").upper()


def _is_of_a_model(attributes: Attributes) -> bool:
    names = (
        *(aliases.MODEL, aliases.INPUT_TOKENS, aliases.OUTPUT_TOKENS),
        *(aliases.ESTIMATED_INPUT, aliases.ESTIMATED_OUTPUT),
    )
    return any(aliases.first(attributes, one) is not None for one in names)

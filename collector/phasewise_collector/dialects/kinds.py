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
    word = (aliases.text(attributes, aliases.KIND) or "").upper()
    if word in aliases.LLM_KINDS:
        return "llm"
    if word in aliases.TOOL_KINDS:
        return "tool"
    if word in aliases.AGENT_KINDS:
        return "agent"
    if not word and aliases.whole(attributes, aliases.OUTPUT_TOKENS) is not None:
        return "llm"  # old conventions had no word for it
    return "plumbing"

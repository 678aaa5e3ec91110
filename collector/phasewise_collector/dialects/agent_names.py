"""Read the agent's name from a span, without what its framework adds to the name."""

import re

from phasewise_store.facts import Span

from phasewise_collector.dialects import aliases
from phasewise_collector.dialects.kinds import Kind
from phasewise_collector.otlp.spans import ReceivedSpan

_BEFORE = ("invoke_agent ", "invoke_workflow ", "create_agent ")
_BEHIND = (" run", ".run", "._execute_core", ".agent", ".workflow")
"""of Pydantic AI, smolagents, CrewAI's instrumentor, Traceloop"""
_PLUMBING = frozenset(
    {
        *("agent workflow", "agentworkflow", "workflow", "agent"),
        *(
            "langgraph",
            "runnablesequence",
            "agentexecutor",
            "runnablelambda",
            "claude_code.interaction",
        ),
    }
)
"""what frameworks call a run that has no name"""
_LLAMA_INDEX_STEP = re.compile(r"current_agent_name=\\?['\"]([^'\"\\]+)")


def agent_named_by(span: Span, kind: Kind) -> str | None:
    """Return the agent whose run this span is, or is part of; None where it says nothing of one."""
    inherited = aliases.text(span.attributes, aliases.AGENT_OF_RUN)
    if inherited is not None:
        return inherited
    if kind != "agent":
        return None
    name = aliases.text(span.attributes, aliases.AGENT) or span.name
    for added in _BEFORE:
        name = name.removeprefix(added)
    for added in _BEHIND:
        name = name.removesuffix(added)
    return None if not name or name.lower() in _PLUMBING else name


def agent_of_step(received: ReceivedSpan) -> str | None:
    """Return the agent that a step of LlamaIndex's workflow names in the text of its event."""
    if not received.name.endswith((".setup_agent", ".run_agent_step")):
        return None
    event = received.attributes.get("input.value")
    found = _LLAMA_INDEX_STEP.search(event) if isinstance(event, str) else None
    return found[1] if found else None

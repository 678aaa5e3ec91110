"""The agent that a span stands for, without what its framework adds."""

import pytest
from phasewise_collector.dialects.agent_names import agent_named_by, agent_of_step
from phasewise_collector.dialects.kinds import Kind
from phasewise_collector.otlp.spans import ReceivedSpan
from phasewise_store.facts import Span

NAMES: list[tuple[str, dict[str, object], Kind, str | None]] = [
    ("planner.run", {}, "agent", "planner"),
    ("planner run", {}, "agent", "planner"),
    ("invoke_agent planner", {}, "agent", "planner"),
    ("invoke_workflow planner", {}, "agent", "planner"),
    ("invoke_agent x", {"gen_ai.agent.name": "planner"}, "agent", "planner"),
    ("Agent workflow", {}, "agent", None),
    ("LangGraph", {}, "agent", None),
    ("RunnableSequence", {}, "agent", None),
    ("model", {"metadata#lc_agent_name": "planner"}, "plumbing", "planner"),
    ("ChatOpenAI", {}, "llm", None),
]


@pytest.mark.parametrize(("name", "attributes", "kind", "agent"), NAMES)
def test_an_agent_has_its_own_name(
    name: str, attributes: dict[str, object], kind: Kind, agent: str | None
) -> None:
    """What frameworks add to a name is taken off, and their own words for a run are none."""
    span = Span("t", "s", None, name, "internal", 0, 1, attributes=attributes)
    assert agent_named_by(span, kind) == agent


def test_a_step_of_llama_index_names_its_agent() -> None:
    """The name stands in the text of the step's event."""
    event = '{"ctx": "…", "ev": "AgentSetup(input=[], current_agent_name=\'planner\')"}'
    span = ReceivedSpan(
        trace_id="t",
        span_id="s",
        parent_span_id=None,
        name="AgentWorkflow.run_agent_step",
        kind="internal",
        start_ns=0,
        end_ns=1,
        attributes={"input.value": event},
    )
    assert agent_of_step(span) == "planner"

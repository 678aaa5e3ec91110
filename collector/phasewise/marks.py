"""Name the parts of a program that no framework names: its session, its agents, its tools."""

from collections.abc import Iterator
from contextlib import contextmanager

from openinference.instrumentation import using_session
from opentelemetry import trace

_KIND = "openinference.span.kind"


@contextmanager
def session(session_id: str) -> Iterator[None]:
    """Put all calls inside the block into one session, across traces."""
    with using_session(session_id):
        yield


@contextmanager
def agent(name: str) -> Iterator[None]:
    """Count all calls inside the block to this agent; one inside another is its sub-agent."""
    attributes = {_KIND: "AGENT", "agent.name": name}
    with _tracer().start_as_current_span(name, attributes=attributes):
        yield


@contextmanager
def tool(name: str) -> Iterator[None]:
    """Time a tool that the agent runs."""
    with _tracer().start_as_current_span(name, attributes={_KIND: "TOOL", "tool.name": name}):
        yield


def _tracer() -> trace.Tracer:
    return trace.get_tracer("phasewise")

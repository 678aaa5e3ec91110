"""Name the parts of a program that no framework names: its session, its agents, its tools."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace

_KIND = "openinference.span.kind"
_SESSION = "session.id"
"""where OpenInference's instrumentors look for it, in the context"""


@contextmanager
def session(session_id: str) -> Iterator[None]:
    """Put all calls inside the block into one session, across traces."""
    token = context.attach(context.set_value(_SESSION, session_id))
    try:
        yield
    finally:
        context.detach(token)


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

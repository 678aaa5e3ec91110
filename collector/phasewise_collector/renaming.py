"""Move derived facts to other sessions than their own trace names."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from phasewise_store.facts import LlmCall, SideCall, ToolCall

from phasewise_collector.dialects.derive import Derived

Call = TypeVar("Call", LlmCall, ToolCall, SideCall)


def in_sessions(derived: Derived, sessions: Mapping[str, str]) -> Derived:
    """Return the facts with the sessions of their conversations."""
    if all(name == sessions.get(name, name) for one in derived.spans if (name := one.session_id)):
        return derived

    def session(name: str) -> str:
        return sessions.get(name, name)

    def agent(agent_id: str, session_id: str) -> str:
        return session(session_id) + agent_id.removeprefix(session_id)

    def moved(one: Call) -> Call:
        return replace(
            one,
            session_id=session(one.session_id),
            agent_id=agent(one.agent_id, one.session_id),
        )

    calls = {call.call_id: moved(call) for call in derived.llm_calls}
    return replace(
        derived,
        sessions=tuple(
            replace(one, session_id=session(one.session_id)) for one in derived.sessions
        ),
        agents=tuple(
            replace(
                one,
                session_id=session(one.session_id),
                agent_id=agent(one.agent_id, one.session_id),
                parent_agent_id=None
                if one.parent_agent_id is None
                else agent(one.parent_agent_id, one.session_id),
            )
            for one in derived.agents
        ),
        llm_calls=tuple(calls.values()),
        tool_calls=tuple(map(moved, derived.tool_calls)),
        side_calls=tuple(map(moved, derived.side_calls)),
        spans=tuple(
            span
            if span.session_id is None or span.agent_id is None
            else replace(
                span,
                session_id=session(span.session_id),
                agent_id=agent(span.agent_id, span.session_id),
            )
            for span in derived.spans
        ),
        made=tuple(replace(one, call=calls[one.call.call_id]) for one in derived.made),
        outcomes=tuple(
            replace(one, session_id=session(one.session_id)) for one in derived.outcomes
        ),
    )

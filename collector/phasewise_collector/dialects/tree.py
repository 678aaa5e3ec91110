"""The spans of one trace, or of traces that describe the same calls, as trees.

A span's key is `trace-span`. Agent, session and user are inherited: if a span lacks one, the
nearest span above it that has it counts, however late that span arrived.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from phasewise_store.facts import Agent, Span

from phasewise_collector.dialects import aliases
from phasewise_collector.dialects.agent_names import agent_named_by
from phasewise_collector.dialects.content import Taken
from phasewise_collector.dialects.kinds import Kind


class Tree:
    """Spans with what is known of each from its place."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        self.taken = {key_of(one.span): one for one in taken}
        self.kinds: dict[str, Kind] = {key: one.kind for key, one in self.taken.items()}
        self._named: dict[str, set[str]] = {}
        """sessions that are named in a trace, those inside another one's span left out"""
        for key, one in self.taken.items():
            if text_of(one.span, aliases.SESSION):
                outer = self._outermost(key, aliases.SESSION)
                self._named.setdefault(one.span.trace_id, set()).add(str(outer))
        self.agent_facts: dict[str, Agent] = {}
        self._sessions: dict[str, str] = {}
        self._agents: dict[str, Agent] = {}

    def span(self, key: str) -> Span:
        """Return a span."""
        return self.taken[key].span

    def above(self, key: str) -> Iterator[str]:
        """Walk up; a loop of parents, which only a broken sender makes, ends the walk."""
        seen = {key}
        parent = self._parent(key)
        while parent in self.taken and parent not in seen:
            yield parent
            seen.add(parent)
            parent = self._parent(parent)

    def session(self, key: str) -> str:
        """Take the outermost session named at or above the span, else the trace's only one.

        A sub-agent's conversation is part of that of the agent that asked it. Where a trace has
        several, what stands outside all of them belongs to none: its session is the trace.
        """
        if key not in self._sessions:
            named = self._outermost(key, aliases.SESSION)
            trace_id = self.span(key).trace_id
            anywhere = self._named.get(trace_id, set())
            self._sessions[key] = named or (
                next(iter(anywhere)) if len(anywhere) == 1 else trace_id
            )
        return self._sessions[key]

    def user(self, key: str) -> str | None:
        """Return the user whose name stands nearest."""
        return self._nearest(key, aliases.USER)

    def agent(self, key: str) -> Agent:
        """Name the agent of a span by the agent spans around it, outermost first."""
        if key not in self._agents:
            self._agents[key] = self._make_agent(key)
        return self._agents[key]

    def has_agent(self, key: str) -> bool:
        """Return whether anything at or above the span names an agent."""
        return any(
            agent_named_by(self.span(one), self.kinds[one])
            or text_of(self.span(one), aliases.AGENT)
            for one in (key, *self.above(key))
        )

    def names_session(self, key: str) -> bool:
        """Return whether anything at or above the span names a session."""
        return self._nearest(key, aliases.SESSION) is not None

    def agents(self, used: set[str]) -> list[Agent]:
        """Return the agents that made a call, and those above them."""
        wanted: dict[str, Agent] = {}
        for name in used:
            agent: Agent | None = self.agent_facts[name]
            while agent is not None and agent.agent_id not in wanted:
                wanted[agent.agent_id] = agent
                parent = agent.parent_agent_id
                agent = None if parent is None else self.agent_facts[parent]
        return list(wanted.values())

    def placed(self) -> Iterator[Span]:
        """Return every span with its session and agent."""
        for key, one in self.taken.items():
            yield replace(one.span, session_id=self.session(key), agent_id=self.agent(key).agent_id)

    def _parent(self, key: str) -> str:
        span = self.span(key)
        return f"{span.trace_id}-{span.parent_span_id}"

    def _nearest(self, key: str, names: Sequence[str]) -> str | None:
        for one in (key, *self.above(key)):
            if named := text_of(self.span(one), names):
                return named
        return None

    def _outermost(self, key: str, names: Sequence[str]) -> str | None:
        named = [text_of(self.span(one), names) for one in (key, *self.above(key))]
        return next(filter(None, reversed(named)), None)

    def _make_agent(self, key: str) -> Agent:
        session_id = self.session(key)
        path = reversed((key, *self.above(key)))
        names = [name for one in path if (name := agent_named_by(self.span(one), self.kinds[one]))]
        if not names:
            names = [self._nearest(key, aliases.AGENT) or self._program(key)]
        agent: Agent | None = None
        for name in names:
            if agent is not None and agent.name == name:
                continue  # one agent that two instrumentors describe, one inside the other
            above = session_id if agent is None else agent.agent_id
            agent_id = f"{above}/{name}"
            agent = self.agent_facts.setdefault(
                agent_id,
                Agent(agent_id, session_id, name, None if agent is None else agent.agent_id),
            )
        assert agent is not None
        return agent

    def _program(self, key: str) -> str:
        """Name an agent that no span names by the program, else by the trace's root."""
        up = [one for one in (key, *self.above(key)) if self.kinds[one] != "engine"] or [key]
        services = (self.span(one).service_name for one in up)
        named = (name for name in services if name and not name.startswith("unknown_service"))
        return next(named, self.span(up[-1]).name)


def key_of(span: Span) -> str:
    """Return a span's key, which is also the id of the call that it alone describes."""
    return f"{span.trace_id}-{span.span_id}"


def text_of(span: Span, names: Sequence[str]) -> str | None:
    """Return a text of a span."""
    return aliases.text(span.attributes, names)

"""Turn the spans of one trace into facts: sessions, agents, LLM calls, tool calls.

Pure. The whole trace goes in, in any order, so that a parent that arrives late changes nothing in
the end. An engine's own span joins the call it serves; of LLM spans inside one another the
innermost is the call, and the outer ones are descriptions of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import orjson
from phasewise_store.facts import Agent, LlmCall, Session, Span, ToolCall

from phasewise_collector.dialects import aliases
from phasewise_collector.dialects.content import Taken
from phasewise_collector.dialects.kinds import Kind, kind_of
from phasewise_collector.dialects.usage import usage_of


@dataclass(frozen=True, slots=True)
class Derived:
    """The facts of one trace."""

    sessions: tuple[Session, ...]
    agents: tuple[Agent, ...]
    llm_calls: tuple[LlmCall, ...]
    tool_calls: tuple[ToolCall, ...]
    spans: tuple[Span, ...]
    """with their session and agent"""


def derive(taken: Sequence[Taken]) -> Derived:
    """Derive the facts of one trace from all of its spans known so far."""
    trace = _Trace(taken)
    calls = tuple(trace.calls())
    tools = tuple(trace.tools())
    used = {call.agent_id for call in calls} | {tool.agent_id for tool in tools}
    agents = trace.agents(used)
    sessions = {agent.session_id for agent in agents}
    return Derived(
        tuple(Session(session_id) for session_id in sorted(sessions)),
        tuple(agents),
        calls,
        tools,
        tuple(trace.placed()),
    )


class _Trace:
    """The spans of one trace as a tree."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        self._taken = {one.span.span_id: one for one in taken}
        self._kinds: dict[str, Kind] = {
            key: kind_of(one.span.name, one.span.attributes) for key, one in self._taken.items()
        }
        self._sessions = {key: self._session(key) for key in self._taken}
        self._agent_facts: dict[str, Agent] = {}
        self._agents = {key: self._agent(key) for key in self._taken}

    def calls(self) -> Iterator[LlmCall]:
        """Give the LLM calls, each with what its engine says of it."""
        outer = set(self._outer_descriptions())
        engines = {served: key for key, served in self._served().items() if served is not None}
        for key, kind in self._kinds.items():
            if (kind == "llm" and key not in outer) or (
                kind == "engine" and self._served()[key] is None
            ):
                call = self._call(key)
                if key in engines:
                    call = _with_engine(call, self._taken[engines[key]].span)
                yield call

    def tools(self) -> Iterator[ToolCall]:
        """Give the tool calls."""
        for key, kind in self._kinds.items():
            if kind != "tool":
                continue
            span = self._taken[key].span
            yield ToolCall(
                tool_call_id=f"{span.trace_id}-{key}",
                session_id=self._sessions[key],
                agent_id=self._agents[key].agent_id,
                name=_text(span, aliases.TOOL) or span.name,
                started_ns=span.start_ns,
                duration_ns=max(0, span.end_ns - span.start_ns),
                error=_error(span),
                trace_id=span.trace_id,
                span_id=key,
            )

    def agents(self, used: set[str]) -> list[Agent]:
        """Give the agents that made a call, and those above them."""
        wanted: dict[str, Agent] = {}
        for name in used:
            agent: Agent | None = self._agent_facts[name]
            while agent is not None and agent.agent_id not in wanted:
                wanted[agent.agent_id] = agent
                parent = agent.parent_agent_id
                agent = None if parent is None else self._agent_facts[parent]
        return list(wanted.values())

    def placed(self) -> Iterator[Span]:
        """Give every span with its session and agent."""
        for key, one in self._taken.items():
            yield replace(
                one.span, session_id=self._sessions[key], agent_id=self._agents[key].agent_id
            )

    def _ancestors(self, key: str) -> Iterator[str]:
        """Walk up; a loop of parents, which only a broken sender makes, ends the walk."""
        seen = {key}
        parent = self._taken[key].span.parent_span_id
        while parent is not None and parent in self._taken and parent not in seen:
            yield parent
            seen.add(parent)
            parent = self._taken[parent].span.parent_span_id

    def _outer_descriptions(self) -> Iterator[str]:
        for key, kind in self._kinds.items():
            if kind == "llm":
                yield from (one for one in self._ancestors(key) if self._kinds[one] == "llm")

    def _served(self) -> dict[str, str | None]:
        """Give, for each engine span, the call it served."""
        return {
            key: next((one for one in self._ancestors(key) if self._kinds[one] == "llm"), None)
            for key, kind in self._kinds.items()
            if kind == "engine"
        }

    def _session(self, key: str) -> str:
        """Take the nearest session named at or above the span, else any of the trace, else it."""
        for one in (key, *self._ancestors(key)):
            if named := _text(self._taken[one].span, aliases.SESSION):
                return named
        anywhere = (_text(one.span, aliases.SESSION) for one in self._taken.values())
        return next(filter(None, anywhere), self._taken[key].span.trace_id)

    def _agent(self, key: str) -> Agent:
        """Name the agent of a span by the agent spans around it, outermost first."""
        around = [one for one in (key, *self._ancestors(key)) if self._kinds[one] == "agent"]
        session_id = self._sessions[key]
        names = [_agent_name(self._taken[one].span) for one in reversed(around)]
        named_here = _text(self._taken[key].span, aliases.AGENT)
        if not names:
            names = [named_here or self._program(key)]
        agent: Agent | None = None
        for name in names:
            above = session_id if agent is None else agent.agent_id
            agent_id = f"{above}/{name}"
            agent = self._agent_facts.setdefault(
                agent_id,
                Agent(agent_id, session_id, name, None if agent is None else agent.agent_id),
            )
        assert agent is not None
        return agent

    def _program(self, key: str) -> str:
        """Name an agent that no span names by the program, else by the trace's root."""
        service = self._taken[key].span.service_name
        if service and not service.startswith("unknown_service") and not self._is_engine(key):
            return service
        above = [one for one in (key, *self._ancestors(key)) if not self._is_engine(one)]
        named = [self._taken[one].span.service_name for one in above]
        fallback = self._taken[above[-1] if above else key].span.name
        return next((name for name in named if name), fallback)

    def _is_engine(self, key: str) -> bool:
        return self._kinds[key] == "engine"

    def _call(self, key: str) -> LlmCall:
        one = self._taken[key]
        span, attributes = one.span, one.span.attributes
        duration_ns = max(0, span.end_ns - span.start_ns)
        first = _first_token_ns(span)
        cost = aliases.number(attributes, aliases.COST_USD)
        call = LlmCall(
            call_id=f"{span.trace_id}-{key}",
            session_id=self._sessions[key],
            agent_id=self._agents[key].agent_id,
            step=0,  # numbered in the store, which knows the session's other traces
            usage=usage_of(attributes),
            provider=_text(span, aliases.PROVIDER),
            model=_text(span, aliases.MODEL),
            started_ns=span.start_ns,
            duration_ns=duration_ns,
            ttft_ns=None if first is None else min(first, duration_ns),
            prompt=one.prompt,
            output=one.output,
            reported_cost_usd=cost,
            finish_reason=_text(span, aliases.FINISH_REASON),
            error=_error(span),
            streamed=_streamed(span, first),
            trace_id=span.trace_id,
            span_id=key,
            request=_parameters(span),
        )
        return _with_engine(call, span) if self._is_engine(key) else call


def _with_engine(call: LlmCall, span: Span) -> LlmCall:
    """Add the engine's own phases; its first token stands in where the caller saw none."""
    attributes = span.attributes
    times = [
        aliases.nanoseconds(attributes, names)
        for names in (aliases.QUEUE_S, aliases.ENGINE_PREFILL_S, aliases.ENGINE_DECODE_S)
    ]
    usage = call.usage
    if usage.origin != "reported":
        told = usage_of(attributes)
        usage = told if told.origin == "reported" else usage
    return replace(
        call,
        queue_ns=times[0],
        engine_prefill_ns=times[1],
        engine_decode_ns=times[2],
        usage=usage,
        model=call.model or _text(span, aliases.MODEL),
    )


def _first_token_ns(span: Span) -> int | None:
    attributes = span.attributes
    exact = aliases.whole(attributes, aliases.FIRST_TOKEN_NS)
    if exact is not None:
        return exact
    return aliases.nanoseconds(attributes, aliases.FIRST_TOKEN_S)


def _streamed(span: Span, first_token_ns: int | None) -> bool | None:
    said = aliases.first(span.attributes, aliases.STREAMED)
    if isinstance(said, bool):
        return said
    parameters = _parameters(span)
    if isinstance(parameters.get("stream"), bool):
        return bool(parameters["stream"])
    return True if first_token_ns is not None else None


def _agent_name(span: Span) -> str:
    return _text(span, aliases.AGENT) or span.name.removeprefix("invoke_agent ") or "agent"


def _text(span: Span, names: Sequence[str]) -> str | None:
    return aliases.text(span.attributes, names)


def _error(span: Span) -> str | None:
    if span.status != "error":
        return None
    return span.status_message or "the span says error and not why"


def _parameters(span: Span) -> dict[str, object]:
    given = _text(span, aliases.PARAMETERS)
    found: dict[str, object] = {}
    if given is not None:
        try:
            parsed = orjson.loads(given)
        except orjson.JSONDecodeError:
            parsed = None
        if isinstance(parsed, dict):
            found |= {
                name: value for name, value in parsed.items() if name not in ("messages", "tools")
            }
    prefix = "gen_ai.request."
    for name, value in span.attributes.items():
        if name.startswith(prefix) and name != "gen_ai.request.model":
            found[name.removeprefix(prefix)] = value
    return found

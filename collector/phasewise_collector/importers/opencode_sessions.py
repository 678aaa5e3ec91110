"""OpenCode's sessions as facts: the calls of each, sub-agents under the session that began them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, ToolCall

from phasewise_collector.importers import names
from phasewise_collector.importers.agent_chat import AgentChat
from phasewise_collector.importers.importer import Note
from phasewise_collector.importers.opencode_messages import Message, Step
from phasewise_collector.importers.transcript import blank_call

MAIN = "opencode"
SIDE = "sub-agent"


@dataclass(frozen=True, slots=True)
class Info:
    """One session of OpenCode's."""

    session_id: str
    parent_id: str | None
    title: str | None


@dataclass(slots=True)
class Facts:
    """What has been read of the sessions of a file."""

    source: Source
    infos: Mapping[str, Info]
    sessions: dict[str, Session] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    calls: list[LlmCall] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    without_usage: int = 0

    def add(self, recorded: str, messages: list[Message]) -> None:
        """Add a session's calls."""
        agent = self._agent(recorded, messages)
        chat = _Conversation(AgentChat(agent))
        for message in messages:
            chat.take(message)
        self.without_usage += chat.without_usage
        self.calls += chat.chat.calls
        self.tool_calls += chat.chat.tool_calls
        if chat.chat.calls and agent.parent_agent_id is None:
            info = self.infos.get(recorded)
            self.sessions[agent.session_id] = chat.chat.session(info.title if info else None)

    def batches(self) -> Iterator[Batch | Note]:
        """Return everything that was read."""
        if self.without_usage:
            yield Note(
                f"{self.without_usage} responses failed or were stopped before they reported usage"
            )
        if not self.calls:
            return
        for call in self.calls:
            self.sessions.setdefault(call.session_id, Session(call.session_id))
        yield Batch(
            self.source,
            sessions=tuple(self.sessions.values()),
            agents=tuple(self.agents.values()),
            llm_calls=tuple(self.calls),
            tool_calls=tuple(self.tool_calls),
            numbered=False,
        )

    def _agent(self, recorded: str, messages: list[Message]) -> Agent:
        """Return the agent of a session, under its parent's where it has one."""
        info = self.infos.get(recorded)
        above = info.parent_id if info else None
        if above is None:
            session_id = names.everywhere(recorded)
            main = Agent(names.agent_id(session_id, MAIN), session_id, MAIN)
            return self.agents.setdefault(main.agent_id, main)
        parent = self._agent(above, []) if above != recorded else None
        assert parent is not None
        role = next((one.agent for one in messages if one.steps and one.agent), SIDE)
        own = names.agent_id(parent.session_id, f"{SIDE}-{names.everywhere(recorded)}")
        if messages or own not in self.agents:
            self.agents[own] = Agent(own, parent.session_id, role, parent.agent_id)
        return self.agents[own]


@dataclass(slots=True)
class _Conversation:
    """One session as it grows message by message."""

    chat: AgentChat
    last_ns: int | None = None
    without_usage: int = 0

    def take(self, message: Message) -> None:
        """Add a message; each step of an answer is a call."""
        for number, step in enumerate(message.steps):
            self._step(message, step, number)
        if not message.steps and message.role == "summary":
            self.chat.transcript.restart([{"role": "user", "content": message.content}])
        elif not message.steps and message.content:
            self.chat.say(message.role, message.content)
        if message.is_summary and message.steps:
            self.chat.transcript.restart(
                [{"role": "assistant", "content": message.steps[-1].content}]
            )

    def _step(self, message: Message, step: Step, number: int) -> None:
        requests = [run.request for run in step.tools]
        if step.usage is None:
            self.without_usage += 1
            if step.content or requests:
                self.chat.heard(step.content, requests)
        else:
            first_tool = min(
                (r.began_ns for r in step.tools if r.began_ns is not None), default=None
            )
            is_last = number == len(message.steps) - 1
            began_ns = message.began_ns if number == 0 else self.last_ns
            # an answer's message is complete when its tools are done: the answer ended before
            ended_ns = first_tool or (message.ended_ns if is_last else None)
            known = began_ns is not None and ended_ns is not None
            session_id = self.chat.agent.session_id
            unique = message.message_id if number == 0 else f"{message.message_id}-{number}"
            self.chat.answer(
                step.content,
                requests,
                replace(
                    blank_call(),
                    call_id=names.call_of(session_id, unique),
                    provider=message.provider,
                    model=message.model,
                    started_ns=began_ns,
                    duration_ns=max(0, (ended_ns or 0) - (began_ns or 0)) if known else None,
                    reported_cost_usd=step.cost_usd,
                    finish_reason=step.finish,
                    error=message.error if is_last else None,
                ),
                usage=step.usage,
                ended_ns=ended_ns,
            )
        for run in step.tools:
            if run.result is not None:
                self.chat.result(
                    run.request.tool_id,
                    run.result,
                    began_ns=run.began_ns,
                    ended_ns=run.ended_ns,
                    error=run.error,
                )
            self.last_ns = run.ended_ns or self.last_ns

"""A conversation as it grows message by message; each answer is a call that read all before it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from phasewise_store.facts import Agent, LlmCall, Segment, Session, ToolCall, Usage

from phasewise_collector.importers import chat, names


@dataclass(slots=True)
class Transcript:
    """The calls of one agent, with the prompt of each."""

    agent: Agent
    segments: chat.Segments
    first_step: int = 0
    history: list[Segment] = field(default_factory=list)
    calls: list[LlmCall] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)

    def add(self, message: chat.Message) -> None:
        """Add a message that some later call reads."""
        self.history.append(self.segments.of(message))

    def extend(self, segments: Iterable[Segment]) -> None:
        """Add parts that are no messages: tool definitions."""
        self.history.extend(segments)

    def restart(self, messages: Iterable[chat.Message]) -> None:
        """Begin anew, as after a compaction."""
        self.history = [self.segments.of(message) for message in messages]

    def call(
        self,
        output: chat.Message | None,
        template: LlmCall,
        *,
        usage: Usage | None = None,
        asked: Sequence[str] = (),
        tool_starts_ns: int | None = None,
    ) -> LlmCall:
        """Add a call that read the history; its answer is added to it.

        `template` carries times, model and the like, and the call's id where it is not its place;
        without usage it is estimated from the text. `asked` names the tools that the answer calls.
        """
        session_id = self.agent.session_id
        step = self.first_step + len(self.calls)
        answer = () if output is None else (self.segments.of(output),)
        prompt = tuple(self.history)
        made = replace(
            template,
            call_id=template.call_id or names.call_id(session_id, step),
            session_id=session_id,
            agent_id=self.agent.agent_id,
            step=step,
            prompt=prompt,
            output=answer,
            usage=usage
            or Usage(
                uncached_tokens=chat.input_tokens(prompt),
                output_tokens=chat.input_tokens(answer),
                origin="estimated",
                cache_reported=False,
            ),
        )
        self.calls.append(made)
        self.history.extend(answer)
        for place, name in enumerate(asked):
            self.tool_calls.append(
                ToolCall(
                    names.tool_call_id(made.call_id, place),
                    session_id,
                    self.agent.agent_id,
                    name,
                    after_step=step,
                    started_ns=tool_starts_ns,
                    asked_by=made.call_id,
                )
            )
        return made

    def session(self, name: str | None = None, outcome: str | None = None) -> Session:
        """Give the session, from its first call to its last."""
        starts = [call.started_ns for call in self.calls if call.started_ns is not None]
        ends = [
            call.started_ns + (call.duration_ns or 0)
            for call in self.calls
            if call.started_ns is not None
        ]
        return Session(
            self.agent.session_id,
            name,
            min(starts, default=None),
            max(ends, default=None),
            outcome,
        )


def blank_call() -> LlmCall:
    """Give a call of which nothing is known, to be filled in."""
    return LlmCall("", "", "", 0, Usage(origin="absent", cache_reported=False))

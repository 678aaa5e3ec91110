"""A conversation that grows by message; each response is a call with all earlier messages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from phasewise_store.facts import Agent, LlmCall, Segment, Session, ToolCall, Usage

from phasewise_collector.dialects import tool_text
from phasewise_collector.dialects.message_parts import Parts
from phasewise_collector.dialects.turns import results_of
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
    _waiting: dict[str, int] = field(default_factory=dict)
    """places of the tool calls that have no result yet, by the id of the request"""

    def add(self, message: chat.Message) -> None:
        """Add a message that some later call reads; a tool's result completes the tool call."""
        self.history.append(self.segments.of(message))
        self.results_in(message)

    def results_in(self, message: chat.Message) -> None:
        """Complete the tool calls whose results stand in a message."""
        if not self._waiting or message.get("role") == "assistant":
            return
        for result in results_of(message):
            place = self._waiting.pop(result.tool_id, None)
            if place is not None:
                tool = self.tool_calls[place]
                self.tool_calls[place] = replace(
                    tool,
                    result=result.text,
                    error=tool.error or (tool_text.FAILED if result.failed else None),
                )

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
        requests = _requests(output, asked)
        for place, (name, (tool_id, arguments)) in enumerate(zip(asked, requests, strict=True)):
            if tool_id:
                self._waiting[tool_id] = len(self.tool_calls)
            self.tool_calls.append(
                ToolCall(
                    names.tool_call_id(made.call_id, place),
                    session_id,
                    self.agent.agent_id,
                    name,
                    after_step=step,
                    started_ns=tool_starts_ns,
                    asked_by=made.call_id,
                    arguments=arguments,
                )
            )
        return made

    def session(self, name: str | None = None, outcome: str | None = None) -> Session:
        """Return the session, from its first call to its last."""
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


def _requests(output: chat.Message | None, asked: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return id and arguments of the tools that an answer asks for, where it says them."""
    if not asked:
        return []
    parts = Parts.of(output or {})
    there = [
        (one.name, one.tool_id, given)
        for (one, _), given in zip(parts.asked, parts.given, strict=True)
    ]
    found: list[tuple[str, str | None]] = []
    for name in asked:
        place = next((place for place, one in enumerate(there) if one[0] == name), None)
        if place is None:
            found.append(("", None))
        else:
            _, tool_id, given = there.pop(place)
            found.append((tool_id, tool_text.written(given)))
    return found


def blank_call() -> LlmCall:
    """Return a call of which nothing is known, to be filled in."""
    return LlmCall("", "", "", 0, Usage(origin="absent", cache_reported=False))

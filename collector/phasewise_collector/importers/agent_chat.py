"""A coding agent's conversation as it grows: messages, responses and tool results.

Messages are stored in chat API form, whatever the tool's own layout is, so that replays can send
them. Used by the importers of agent tools whose files record how each tool call went.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson
from phasewise_store.facts import Agent, LlmCall, Session, ToolCall, Usage

from phasewise_collector.importers import chat
from phasewise_collector.importers.fields import BadRecordError
from phasewise_collector.importers.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Request:
    """One tool that an answer calls."""

    tool_id: str
    name: str
    arguments: object

    def message(self) -> chat.Message:
        """Return it as a chat API writes it."""
        written = self.arguments
        if not isinstance(written, str):
            try:
                written = orjson.dumps({} if written is None else written).decode()
            except TypeError as error:  # a number of more than 64 bits, nesting without end
                raise BadRecordError(str(error)) from error
        function = {"name": self.name, "arguments": written}
        return {"id": self.tool_id, "type": "function", "function": function}


@dataclass(slots=True)
class AgentChat:
    """The calls and tool calls of one agent, with the prompt of each call."""

    agent: Agent
    segments: chat.Segments = field(default_factory=chat.Segments)
    transcript: Transcript = field(init=False)
    _asked: dict[str, tuple[int, str]] = field(default_factory=dict)
    """place among the tool calls, and the tool's name, by the id of the request"""

    def __post_init__(self) -> None:
        """Begin with an empty history."""
        self.transcript = Transcript(self.agent, self.segments)

    def say(self, role: str, content: object) -> None:
        """Add a message that some later call reads."""
        self.transcript.add({"role": role, "content": content})

    def answer(
        self,
        content: str,
        requests: Sequence[Request],
        template: LlmCall,
        *,
        usage: Usage | None,
        ended_ns: int | None = None,
    ) -> LlmCall:
        """Add a call that read the history; what it asks of tools began when it ended."""
        first = len(self.transcript.tool_calls)
        made = self.transcript.call(
            spoken(content, requests),
            template,
            usage=usage,
            asked=[request.name for request in requests],
            tool_starts_ns=ended_ns,
        )
        for place, request in enumerate(requests):
            self._asked[request.tool_id] = (first + place, request.name)
        return made

    def heard(self, content: str, requests: Sequence[Request]) -> None:
        """Add an answer that is part of later prompts, and is no call of its own."""
        self.transcript.add(spoken(content, requests))
        for request in requests:
            self._asked[request.tool_id] = (-1, request.name)

    def result(
        self,
        tool_id: str,
        content: object,
        *,
        began_ns: int | None = None,
        ended_ns: int | None = None,
        error: str | None = None,
    ) -> None:
        """Add what a tool gave back, with its name; and how long the tool took, where known."""
        place, name = self._asked.get(tool_id, (-1, None))
        message: chat.Message = {"role": "tool", "tool_call_id": tool_id, "content": content}
        if name is not None:
            message["name"] = name
        self.transcript.add(message)
        if place < 0:
            return
        call = self.transcript.tool_calls[place]
        start_ns = call.started_ns if began_ns is None else began_ns
        known = start_ns is not None and ended_ns is not None
        self.transcript.tool_calls[place] = replace(
            call,
            started_ns=start_ns,
            duration_ns=max(0, (ended_ns or 0) - (start_ns or 0)) if known else None,
            error=error,
        )

    @property
    def calls(self) -> list[LlmCall]:
        """The calls so far."""
        return self.transcript.calls

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls so far."""
        return self.transcript.tool_calls

    def session(self, name: str | None, outcome: str | None = None) -> Session:
        """Return the session, from its first call to its last."""
        return self.transcript.session(name, outcome)


def spoken(content: str, requests: Sequence[Request]) -> chat.Message:
    """Write an answer as a chat API does; its content is null where it only calls tools."""
    message: chat.Message = {"role": "assistant", "content": content or None}
    if requests:
        message["tool_calls"] = [request.message() for request in requests]
    elif not content:
        message["content"] = ""
    return message


def plain_text(content: object) -> str:
    """Return the text of a content that is text, or parts that hold some; the rest as JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(plain_text, content))
    if isinstance(content, Mapping) and isinstance(content.get("text"), str):
        return str(content["text"])
    try:
        return orjson.dumps(content).decode()
    except TypeError as error:
        raise BadRecordError(str(error)) from error

"""tau-bench historical trajectories: chat sessions with their full text, without usage or times.

A file is a list of runs `{task_id, trial, reward, traj}`; `traj` is the messages of one chat.
Every assistant message is a call, its prompt is all messages before it. The tool schemas that each
call sent are not recorded, so prompts are shorter than they were; tokens are estimated from text.
The model and the domain stand in the file's name only (`gpt-4o-airline.json`), as the publisher
names his files; where it says neither, the model is unknown.
Source: https://github.com/sierra-research/tau-bench, historical_trajectories.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_store.facts import (
    Agent,
    Batch,
    LlmCall,
    Segment,
    Session,
    Source,
    ToolCall,
    Usage,
)

from phasewise_collector.dialects import tool_text
from phasewise_collector.dialects.turns import results_of
from phasewise_collector.importers import chat, names
from phasewise_collector.importers.documents import Document, has_keys, read_document
from phasewise_collector.importers.fields import BadRecordError, Record, items, record, text
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.model_names import provider_of

FORMAT = "tau-bench"
SOURCE = "tau-bench"

_NAMED = re.compile(r"(?P<model>.+)-(?P<domain>airline|retail)\b")


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the document is a list of runs."""
    del path
    return has_keys(head, b"[", ("task_id", "traj"))


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every run as a session."""
    for part in read_document(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        runs = part.root
        if not isinstance(runs, list):
            yield part.skip("not a list of runs")
            continue
        file = _File(part, trace)
        for place, run in enumerate(runs):
            yield from file.take(run, place)
        if file.calls:
            yield file.batch(Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


class _File:
    """What has been read of a file so far."""

    def __init__(self, document: Document, trace: Trace) -> None:
        named = _NAMED.match(trace.path.name)
        model = named["model"] if named else None
        self.provider = provider_of(model) if model else None
        self.model = model if self.provider else None
        self.role = f"{named['domain']}-agent" if named else "agent"
        self.document = document
        self.names = names.SessionNames(document.source_id)
        self.segments = chat.Segments()
        self.sessions: list[Session] = []
        self.agents: list[Agent] = []
        self.calls: list[LlmCall] = []
        self.tool_calls: list[ToolCall] = []

    def take(self, value: object, place: int) -> Iterator[Skipped]:
        """Add one run."""
        try:
            run = record(value, "the run")
            messages = items(run, "traj")
            title = f"task {run.get('task_id')} trial {run.get('trial', 0)}"
            session_id = self.names.new(title.replace(" ", "-"))
        except BadRecordError as error:
            yield self.document.skip(error, place)
            return
        agent = Agent(names.agent_id(session_id, self.role), session_id, self.role)
        chat_run = _Chat(self, agent)
        for number, message in enumerate(messages):
            try:
                chat_run.take(record(message, "the message"))
            except BadRecordError as error:
                yield self.document.skip(error, place, "traj", number)
        if chat_run.steps:
            self.sessions.append(Session(session_id, title, outcome=outcome(run.get("reward"))))
            self.agents.append(agent)

    def batch(self, source: Source) -> Batch:
        """Return everything that was read."""
        return Batch(
            source,
            sessions=tuple(self.sessions),
            agents=tuple(self.agents),
            llm_calls=tuple(self.calls),
            tool_calls=tuple(self.tool_calls),
        )


@dataclass(slots=True)
class _Chat:
    """One run as it grows message by message."""

    file: _File
    agent: Agent
    history: list[Segment] = field(default_factory=list)
    steps: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    """places of the file's tool calls that have no result yet, by the id of the request"""

    def take(self, fields: Record) -> None:
        """Add a message; one of the assistant is a call that read all before it."""
        message = _message(fields)
        segment = self.file.segments.of(message)
        if message["role"] == "assistant":
            self._call(segment, chat.tool_calls(fields))
        for result in results_of(message):
            place = self.waiting.pop(result.tool_id, None)
            if place is not None:
                tool = self.file.tool_calls[place]
                self.file.tool_calls[place] = replace(tool, result=result.text)
        self.history.append(segment)

    def _call(self, output: Segment, asked: list[Record]) -> None:
        session_id = self.agent.session_id
        prompt = tuple(self.history)
        tool_calls = [
            ToolCall(
                names.tool_call_id(names.call_id(session_id, self.steps), place),
                session_id,
                self.agent.agent_id,
                text(record(call.get("function"), "`function`"), "name"),
                after_step=self.steps,
                arguments=tool_text.written(
                    record(call["function"], "`function`").get("arguments")
                ),
            )
            for place, call in enumerate(asked)
        ]
        for place, call in enumerate(asked, len(self.file.tool_calls)):
            self.waiting[str(call.get("id"))] = place
        self.file.tool_calls.extend(tool_calls)
        self.file.calls.append(
            LlmCall(
                call_id=names.call_id(session_id, self.steps),
                session_id=session_id,
                agent_id=self.agent.agent_id,
                step=self.steps,
                usage=Usage(
                    uncached_tokens=chat.input_tokens(prompt),
                    output_tokens=output.tokens,
                    origin="estimated",
                    cache_reported=False,
                ),
                provider=self.file.provider,
                model=self.file.model,
                prompt=prompt,
                output=(output,),
                finish_reason="tool_calls" if asked else "stop",
            )
        )
        self.steps += 1


def outcome(reward: object) -> str | None:
    """Write a reward as a session's outcome; None where it is no number."""
    if isinstance(reward, bool) or not isinstance(reward, int | float):
        return None
    return f"reward {reward:g}"


def _message(fields: Record) -> chat.Message:
    role = text(fields, "role")
    if role not in {"system", "user", "assistant", "tool"}:
        raise BadRecordError(f"`role` is `{role[:40]}`, which is not a chat role")
    message: chat.Message = {"role": role, "content": fields.get("content")}
    if asked := chat.tool_calls(fields):
        message["tool_calls"] = asked
    for key in ("tool_call_id", "name"):
        if fields.get(key) is not None:
            message[key] = text(fields, key)
    return message

"""Read traces of requests to a service: one request a line, its prompt as block hashes or as text.

Mooncake's layout and what others made of it. A line has `input_length` and `hash_ids`, or the text
(`text_input`, `messages`), `output_length`, and its time: `timestamp`, or the `delay` in
milliseconds since the answer before it in its session. Block size and unit of time are no part of
the format: they are found out from the whole file and said in a note. Sessions are told by
`session_id`, or by following `parent_chat_id`; else the file is one session in file order.
Times that count from the trace's start count from 1970 in the store, and are no dates.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson
from phasewise_store.facts import Agent, Batch, LlmCall, Segment, Session, Source, Usage
from phasewise_store.segments import raw_segments, text_segment

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    count,
    items,
    optional_text,
    record,
    span_ns,
    text,
)
from phasewise_collector.importers.hashed_prompt import HashedPrompts
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import records
from phasewise_collector.importers.trace_properties import block_tokens, time_unit

MILLISECONDS = (10**6, "milliseconds")
SECONDS = (10**9, "seconds")
_ROOT = -1
"""`parent_chat_id` of a chat's first request"""


@dataclass(frozen=True, slots=True)
class Family:
    """What one format of request traces is called, and its usual unit of time."""

    name: str
    source: str
    unit: tuple[int, str]
    turns_hold_new_text_only: bool = False
    """whether a client sends the turns and answers before a turn as well"""
    output_is_optional: bool = False
    """whether a request may leave open how much was written"""


def read(trace: Trace, family: Family) -> Iterator[Batch | Skipped | Note]:
    """Return every request as a call."""
    lines: list[tuple[int, Record]] = []
    for part in records(trace):
        if isinstance(part, Skipped):
            yield part
        else:
            lines.append(part)
    if not lines:
        return
    file = _File.of(trace, family, [fields for _, fields in lines])
    for number, fields in lines:
        try:
            file.take(fields)
        except BadRecordError as error:
            yield Skipped(number, str(error))
    if file.calls:
        yield from file.notes()
        yield file.batch(Source(trace.source_id, family.source, family.name, str(trace.path)))


@dataclass(slots=True)
class _Conversation:
    """One session as it grows."""

    session: Session
    agent_id: str
    steps: int = 0
    last_ns: int | None = None
    """when its latest request began"""
    history: list[Segment] = field(default_factory=list)
    """messages so far, where each line holds new ones only"""


@dataclass(slots=True)
class _File:
    """What has been read of a file so far."""

    family: Family
    name: str
    names: names.SessionNames
    unit: tuple[int, str]
    blocks: HashedPrompts | None
    parents: Mapping[object, object]
    """chat to its parent chat"""
    conversations: dict[object, _Conversation] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    calls: list[LlmCall] = field(default_factory=list)
    delayed: int = 0
    """requests whose time is known as a delay only"""
    later_turns: int = 0
    """requests that continue a session, and are no whole history"""

    @classmethod
    def of(cls, trace: Trace, family: Family, rows: list[Record]) -> "_File":
        """Find out the properties of the whole file."""
        times = [row["timestamp"] for row in rows if _is_number(row.get("timestamp"))]
        hashed = [
            (tokens, len(ids))
            for row in rows
            if isinstance(ids := row.get("hash_ids"), list)
            and isinstance(tokens := row.get("input_length"), int)
            and tokens > 0
        ]
        blocks = None
        if any(ids for _, ids in hashed):
            blocks = HashedPrompts(trace.source_id, block_tokens(hashed, trace.path.name))
        return cls(
            family,
            trace.path.name,
            names.SessionNames(trace.source_id),
            time_unit([float(str(time)) for time in times], usual=family.unit),
            blocks,
            {_key(row.get("chat_id")): _key(row.get("parent_chat_id")) for row in rows},
        )

    def take(self, fields: Record) -> None:
        """Add a request."""
        key = self._session_key(fields)
        talk = self.conversations.get(key) or self._begin(key, fields)
        prompt, usage = self._prompt(fields, talk)
        started_ns = self._started_ns(fields, talk)
        made = LlmCall(
            call_id=names.call_id(talk.session.session_id, talk.steps),
            session_id=talk.session.session_id,
            agent_id=talk.agent_id,
            step=talk.steps,
            usage=usage,
            model=optional_text(fields, "model"),
            started_ns=started_ns,
            prompt=prompt,
            block_tokens=self.blocks.block_tokens if _is_hashed(prompt) and self.blocks else None,
        )
        self.calls.append(made)
        self.conversations[key] = talk
        self.later_turns += talk.steps > 0 and "messages" not in fields and "payload" not in fields
        talk.steps += 1
        talk.last_ns = started_ns

    def notes(self) -> Iterator[Note]:
        """Yield what was derived from the file, and what a reader of the numbers should know."""
        if self.blocks is not None:
            yield Note(f"blocks of {self.blocks.block_tokens} tokens, times in {self.unit[1]}")
        else:
            yield Note(f"times in {self.unit[1]}")
        if self.delayed:
            yield Note(
                f"{self.delayed} requests have no time, only a delay after the previous response; "
                "its duration is not recorded, so they started later than stored"
            )
        if self.later_turns and self.family.turns_hold_new_text_only:
            yield Note(
                f"{self.later_turns} later turns contain only their new text: {self.family.name} "
                "also sends the earlier turns and responses, which are not counted here"
            )

    def batch(self, source: Source) -> Batch:
        """Return everything that was read."""
        return Batch(
            source,
            sessions=tuple(talk.session for talk in self.conversations.values()),
            agents=tuple(self.agents.values()),
            llm_calls=tuple(self.calls),
        )

    def _session_key(self, fields: Record) -> object:
        if fields.get("session_id") is not None:
            return str(fields["session_id"])
        chat = _key(fields.get("chat_id"))
        seen: set[object] = set()
        while chat not in seen and self.parents.get(chat) not in (None, _ROOT):
            seen.add(chat)
            chat = self.parents[chat]
        return chat

    def _begin(self, key: object, fields: Record) -> _Conversation:
        recorded = (
            self.family.name if key is None else f"{'' if isinstance(key, str) else 'chat-'}{key}"
        )
        session_id = self.names.new(recorded)
        role = optional_text(fields, "type") or self.family.name
        agent = Agent(names.agent_id(session_id, role), session_id, role)
        self.agents[agent.agent_id] = agent
        name = self.name if key is None else recorded
        return _Conversation(Session(session_id, name=name), agent.agent_id)

    def _started_ns(self, fields: Record, talk: _Conversation) -> int | None:
        if fields.get("timestamp") is not None:
            return span_ns(fields, "timestamp", unit_ns=self.unit[0])
        if fields.get("delay") is None:
            return None
        self.delayed += 1
        delay_ns = span_ns(fields, "delay", unit_ns=MILLISECONDS[0])
        return None if talk.last_ns is None else talk.last_ns + delay_ns

    def _prompt(self, fields: Record, talk: _Conversation) -> tuple[tuple[Segment, ...], Usage]:
        unsaid = self.family.output_is_optional and fields.get("output_length") is None
        output = 0 if unsaid else count(fields, "output_length")
        payload = fields.get("payload")
        body = payload if isinstance(payload, dict) else fields
        if isinstance(body.get("messages"), list):
            prompt = self._messages(body, fields, talk)
        elif fields.get("text_input") is not None:
            prompt = raw_segments(text(fields, "text_input"))
        else:
            tokens = count(fields, "input_length")
            hashed = fields.get("hash_ids") is not None and self.blocks is not None
            prompt = (
                self.blocks.prompt(items(fields, "hash_ids"), tokens)
                if hashed and self.blocks is not None
                else ()
            )
            return prompt, Usage(uncached_tokens=tokens, output_tokens=output, cache_reported=False)
        return prompt, Usage(
            uncached_tokens=chat.input_tokens(prompt),
            output_tokens=output,
            origin="estimated",
            cache_reported=False,
        )

    def _messages(self, body: Record, fields: Record, talk: _Conversation) -> tuple[Segment, ...]:
        tools = body.get("tools")
        offered = [
            text_segment("tool", orjson.dumps(tool).decode())
            for tool in (tools if isinstance(tools, list) else ())
        ]
        messages = [dict(record(one, "a message")) for one in items(body, "messages")]
        new = [*offered, *(chat.segment({"role": "user", **one}) for one in messages)]
        if fields.get("message_mode") != "delta":
            return tuple(new)
        talk.history.extend(new)
        return tuple(talk.history)


def _is_hashed(prompt: tuple[Segment, ...]) -> bool:
    return bool(prompt) and prompt[0].kind == "block"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _key(value: object) -> object:
    return value if isinstance(value, int | str) else None

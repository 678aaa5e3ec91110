"""kv-cache-tester traces: one Claude Code session a file, prompts as hashes of 64-token blocks.

A file is `{id, block_size, requests[], …}`. A request has its start `t` (s), `in`, `out` (tokens),
`hash_ids` of its full blocks, `api_time` and `ttft` (s) where they were seen. An entry of type
`subagent` stands among the requests and holds requests of its own; it becomes an agent under the
main one, its requests stand in the session in its place, and its run counts as a tool call of the
request before it. The ids of a file mean nothing outside it; sub-agents share them.
There is no date, so the times in the store count from 1970. Usage is the total only: how much of
it the provider's cache served is not recorded, and all of `in` is stored as uncached.
Source: https://github.com/callanjfox/kv-cache-tester.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, ToolCall, Usage

from phasewise_collector.importers import names
from phasewise_collector.importers.documents import Document, has_keys, read_document
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    count,
    items,
    optional_span_ns,
    optional_text,
    record,
    span_ns,
    text,
)
from phasewise_collector.importers.hashed_prompt import HashedPrompts
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.json_text import Key
from phasewise_collector.importers.model_names import provider_of

FORMAT = "kv-cache-tester"
SOURCE = "kv-cache-tester"
MAIN_ROLE = "claude-code"

_MAX_NESTING = 32
"""steps of a path: sixteen agents, each under the one before"""

_SECOND_NS = 10**9
_MILLISECOND_NS = 10**6


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the document has blocks and requests."""
    del path
    return has_keys(head, b"{", ("block_size", "requests"))


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the session with all its calls, sub-agents in their place."""
    for part in read_document(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        try:
            session = _Session.of(part, trace)
            requests = items(record(part.root, "the document"), "requests")
        except BadRecordError as error:
            yield part.skip(error)
            continue
        yield from session.take(requests, session.main, ("requests",), offset_ns=0)
        if session.calls:
            yield session.batch(Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


@dataclass(slots=True)
class _Session:
    """What has been read of a file so far."""

    document: Document
    session: Session
    blocks: HashedPrompts
    main: Agent
    agents: list[Agent] = field(default_factory=list)
    calls: list[LlmCall] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)

    @classmethod
    def of(cls, document: Document, trace: Trace) -> "_Session":
        """Start from the head of the document."""
        fields = record(document.root, "the document")
        block_tokens = count(fields, "block_size")
        if block_tokens == 0:
            raise BadRecordError("`block_size` is 0")
        name = optional_text(fields, "id") or trace.path.name
        session_id = names.SessionNames(document.source_id).new(name)
        main = Agent(names.agent_id(session_id, MAIN_ROLE), session_id, MAIN_ROLE)
        blocks = HashedPrompts(document.source_id, block_tokens)
        return cls(document, Session(session_id, name), blocks, main, [main])

    def take(
        self, requests: list[object], agent: Agent, path: tuple[Key, ...], *, offset_ns: int
    ) -> Iterator[Skipped]:
        """Add an agent's requests; times in them count from `offset_ns`."""
        asked_by: int | None = None
        for place, value in enumerate(requests):
            here = (*path, place)
            try:
                fields = record(value, "the request")
                if fields.get("type") == "subagent":
                    yield from self._take_subagent(
                        fields, agent, here, offset_ns=offset_ns, asked_by=asked_by
                    )
                else:
                    self.calls.append(self._call(fields, agent, offset_ns))
                    asked_by = len(self.calls) - 1
            except BadRecordError as error:
                yield self.document.skip(error, *here)

    def batch(self, source: Source) -> Batch:
        """Return everything that was read."""
        return Batch(
            source,
            sessions=(self.session,),
            agents=tuple(self.agents),
            llm_calls=tuple(self.calls),
            tool_calls=tuple(self.tool_calls),
        )

    def _call(self, fields: Record, agent: Agent, offset_ns: int) -> LlmCall:
        input_tokens = count(fields, "in")
        model = text(fields, "model")
        step = len(self.calls)
        return LlmCall(
            call_id=names.call_id(self.session.session_id, step),
            session_id=self.session.session_id,
            agent_id=agent.agent_id,
            step=step,
            usage=Usage(
                uncached_tokens=input_tokens,
                output_tokens=count(fields, "out"),
                cache_reported=False,
            ),
            provider=provider_of(model),
            model=model,
            started_ns=offset_ns + span_ns(fields, "t", unit_ns=_SECOND_NS),
            duration_ns=optional_span_ns(fields, "api_time", unit_ns=_SECOND_NS),
            ttft_ns=optional_span_ns(fields, "ttft", unit_ns=_SECOND_NS),
            prompt=self.blocks.prompt(items(fields, "hash_ids"), input_tokens),
            block_tokens=self.blocks.block_tokens,
            finish_reason=optional_text(fields, "stop") or None,
            streamed=fields.get("type") == "s",
        )

    def _take_subagent(
        self,
        fields: Record,
        parent: Agent,
        path: tuple[Key, ...],
        *,
        offset_ns: int,
        asked_by: int | None,
    ) -> Iterator[Skipped]:
        requests = items(fields, "requests")
        if len(path) > _MAX_NESTING:
            raise BadRecordError(f"{len(requests)} requests of sub-agents nested too deeply")
        role = (optional_text(fields, "subagent_type") or "sub-agent").lower()
        duration_ns = optional_span_ns(fields, "duration_ms", unit_ns=_MILLISECOND_NS)
        # `t` of a sub-agent is its end: with the duration taken off, those that ran side by side
        # all start right after the answer that asked for them, in each of the published files
        ended_ns = offset_ns + span_ns(fields, "t", unit_ns=_SECOND_NS)
        started_ns = max(0, ended_ns - (duration_ns or 0))
        session_id = self.session.session_id
        number = len(self.agents)
        agent = Agent(
            names.agent_id(session_id, f"{role}-{number}"), session_id, role, parent.agent_id
        )
        self.agents.append(agent)
        self.tool_calls.append(
            ToolCall(
                f"{session_id}.agent-{number}",
                session_id,
                parent.agent_id,
                f"sub-agent {role}",
                after_step=asked_by,
                started_ns=started_ns,
                duration_ns=duration_ns,
            )
        )
        yield from self.take(requests, agent, (*path, "requests"), offset_ns=started_ns)

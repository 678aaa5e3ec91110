"""tau2-bench result files: simulations of an agent and of the user it serves, both models.

A file is `{timestamp, info, tasks, simulations[]}`. A simulation's messages hold two streams of
calls: `assistant` is the agent, `user` a model that plays the customer and sees the roles the other
way round. A message's time is that of its end; its call began when the message before it was there.
The first message is a canned greeting and no call. The agent's policy is recorded, the tool schemas
are not, so prompts are shorter than they were; `usage` counts the true ones. Where a message keeps
the provider's response (`raw_data`), its usage and model are taken: the head (`info`) says which
model was asked for, and some files have no head. Costs are LiteLLM's: what they imply of cached
tokens is recovered where no response says them, see `billed_cache`. Of the models' arguments only
the address is read: the files may hold keys.
Source: https://github.com/sierra-research/tau2-bench.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
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
from phasewise_collector.importers import billed_cache, chat, names
from phasewise_collector.importers.documents import Document, has_keys, read_document
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    count,
    items,
    optional_iso_ns,
    optional_text,
    optional_usd,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.model_names import litellm_names
from phasewise_collector.importers.tau_bench import outcome
from phasewise_collector.usage.reader import usage_of_body

FORMAT = "tau2-bench"
SOURCE = "tau2-bench"

USER_ROLE = "user-simulator"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the document has the head of a result file."""
    del path
    return has_keys(head, b"{", ("info", "user_info", "agent_info")) or has_keys(
        head, b"{", ("simulations", "task_id")
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every simulation as a session of two agents."""
    for part in read_document(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        try:
            root = record(part.root, "the document")
            file = _File.of(root, part, trace)
            simulations = items(root, "simulations")
        except BadRecordError as error:
            yield part.skip(error)
            continue
        for place, simulation in enumerate(simulations):
            yield from file.take(simulation, place)
        if file.calls:
            yield from file.recover()
            yield file.batch(Source(trace.source_id, SOURCE, FORMAT, str(trace.path)))


@dataclass(frozen=True, slots=True)
class _Model:
    """Who plays one side."""

    role: str
    provider: str | None
    name: str | None

    @classmethod
    def of(cls, info: Record, key: str, role: str) -> "_Model":
        if info.get(key) is None:
            return cls(role, None, None)
        fields = record(info.get(key), f"`{key}`")
        arguments = fields.get("llm_args")
        address = arguments.get("base_url") if isinstance(arguments, dict) else None
        base_url = address if isinstance(address, str) else None
        provider, name = litellm_names(text(fields, "llm"), base_url)
        return cls(role, provider, name)

    def that_answered(self, response: Record) -> "_Model":
        """Return the model that a response names; a dated name of the one asked for is that one."""
        answered = optional_text(response, "model")
        if answered is None or (self.name is not None and answered.startswith(self.name)):
            return self
        provider, name = litellm_names(answered)
        return replace(self, provider=provider, name=name)


@dataclass(slots=True)
class _File:
    """What has been read of a file so far."""

    document: Document
    names: names.SessionNames
    policy: str
    guidelines: str
    agent: _Model
    user: _Model
    segments: chat.Segments = field(default_factory=chat.Segments)
    sessions: list[Session] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    calls: list[LlmCall] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)

    @classmethod
    def of(cls, root: Record, document: Document, trace: Trace) -> "_File":
        """Start from the head of the document."""
        info = record(root.get("info") or {}, "`info`")
        domain = record(info.get("environment_info") or {}, "`environment_info`")
        name = optional_text(domain, "domain_name") or optional_text(root, "domain")
        user = record(info.get("user_info") or {}, "`user_info`")
        return cls(
            document,
            names.SessionNames(document.source_id),
            policy=optional_text(domain, "policy") or "",
            guidelines=optional_text(user, "global_simulation_guidelines") or "",
            agent=_Model.of(info, "agent_info", f"{name}-agent" if name else "agent"),
            user=_Model.of(info, "user_info", USER_ROLE),
        )

    def take(self, value: object, place: int) -> Iterator[Skipped]:
        """Add one simulation."""
        here = ("simulations", place)
        try:
            fields = record(value, "the simulation")
            messages = items(fields, "messages")
            started_ns = optional_iso_ns(fields, "start_time")
            ended_ns = optional_iso_ns(fields, "end_time")
            policy = optional_text(fields, "policy") or self.policy
        except BadRecordError as error:
            yield self.document.skip(error, *here)
            return
        title = f"task {fields.get('task_id')} trial {fields.get('trial', 0)}"
        session_id = self.names.new(title.replace(" ", "-"))
        found = _Simulation(self, session_id, started_ns, policy)
        for number, message in enumerate(messages):
            try:
                found.take(record(message, "the message"), is_first=number == 0)
            except BadRecordError as error:
                yield self.document.skip(error, *here, "messages", number)
        if not found.steps:
            return
        reward = fields.get("reward_info")
        verdict = outcome(reward.get("reward")) if isinstance(reward, dict) else None
        self.sessions.append(Session(session_id, title, started_ns, ended_ns, verdict))
        self.agents += [
            Agent(names.agent_id(session_id, model.role), session_id, model.role)
            for model in (self.agent, self.user)
        ]

    def recover(self) -> Iterator[Note]:
        """Replace usage by what the recorded costs imply, for each model whose bill proves it."""
        streams: dict[tuple[str | None, str], list[int]] = {}
        for place, call in enumerate(self.calls):
            unknown = call.usage.origin == "reported" and not call.usage.cache_reported
            if call.reported_cost_usd and unknown and call.model:
                streams.setdefault((call.provider, call.model), []).append(place)
        for (provider, model), places in streams.items():
            calls = [self.calls[place] for place in places]
            found = billed_cache.recover(
                [
                    billed_cache.Bill(
                        call.usage.input_tokens,
                        call.usage.output_tokens,
                        call.reported_cost_usd or 0.0,
                    )
                    for call in calls
                ],
                provider=provider,
                model=model,
                at_ns=calls[0].started_ns or 0,
            )
            if found is None:
                yield Note(
                    f"{model}: no rates explain the recorded costs, so cached tokens are unknown"
                )
                continue
            for place, cached in zip(places, found.cached_tokens, strict=True):
                call = self.calls[place]
                usage = replace(
                    call.usage,
                    uncached_tokens=call.usage.input_tokens - cached,
                    cache_read_tokens=cached,
                    origin="recovered",
                    cache_reported=True,
                )
                self.calls[place] = replace(call, usage=usage)
            rates = found.rates
            yield Note(
                f"{model}: {sum(found.cached_tokens):,} cached tokens recovered from the cost of "
                f"{len(places)} calls at {rates.input_usd}/{rates.output_usd}/"
                f"{rates.cache_read_usd} USD per million input/output/cached tokens"
            )

    def batch(self, source: Source) -> Batch:
        """Return everything that was read."""
        return Batch(
            source,
            sessions=tuple(self.sessions),
            agents=tuple(self.agents),
            llm_calls=tuple(self.calls),
            tool_calls=tuple(self.tool_calls),
        )


class _Simulation:
    """One simulation as it grows message by message; each side has a history of its own."""

    def __init__(self, file: _File, session_id: str, started_ns: int | None, policy: str) -> None:
        self.file = file
        self.session_id = session_id
        self.steps = 0
        self._now_ns = started_ns
        self._waiting: dict[str, int] = {}
        """places of the file's tool calls that have no result yet, by the id of the request"""
        self._histories: dict[str, list[Segment]] = {
            "assistant": self._opening(policy),
            "user": self._opening(file.guidelines),
        }

    def take(self, fields: Record, *, is_first: bool) -> None:
        """Add a message; one of a model is a call of its side, read by both."""
        role = text(fields, "role")
        ended_ns = optional_iso_ns(fields, "timestamp")
        asked = [record(call, "a tool call") for call in chat.tool_calls(fields)]
        if role == "tool":
            self._tool_result(fields)
        elif role in self._histories:
            model = self.file.agent if role == "assistant" else self.file.user
            message = _spoken(fields, asked)
            output = self.file.segments.of(message)
            if not (is_first and fields.get("usage") is None):
                self._call(fields, model, self._histories[role], output, ended_ns)
                self._ask(asked, model, ended_ns)
            self._histories[role].append(output)
            if not asked:  # what is said to a tool is not heard by the other side
                heard = self.file.segments.of({"role": "user", "content": message["content"]})
                self._histories["user" if role == "assistant" else "assistant"].append(heard)
        else:
            raise BadRecordError(f"`role` is `{role[:40]}`, which is not a role of a simulation")
        if ended_ns is not None:
            self._now_ns = ended_ns

    def _opening(self, instructions: str) -> list[Segment]:
        if not instructions:
            return []
        return [self.file.segments.of({"role": "system", "content": instructions})]

    def _tool_result(self, fields: Record) -> None:
        asker = optional_text(fields, "requestor") or "assistant"
        if asker not in self._histories:
            raise BadRecordError(f"`requestor` is `{asker[:40]}`, neither assistant nor user")
        message: chat.Message = {"role": "tool", "content": chat.content(fields)}
        if (asked_by := optional_text(fields, "id")) is not None:
            message["tool_call_id"] = asked_by
            place = self._waiting.pop(asked_by, None)
            if place is not None:
                tool = self.file.tool_calls[place]
                self.file.tool_calls[place] = replace(
                    tool,
                    result=chat.content(fields),
                    error=tool_text.FAILED if fields.get("error") is True else None,
                )
        self._histories[asker].append(self.file.segments.of(message))

    def _call(
        self,
        fields: Record,
        model: _Model,
        history: list[Segment],
        output: Segment,
        ended_ns: int | None,
    ) -> None:
        prompt = tuple(history)
        known = ended_ns is not None and self._now_ns is not None
        raw = fields.get("raw_data")
        response = raw if isinstance(raw, dict) else {}
        usage = _usage(fields, response, prompt, output)
        model = model.that_answered(response)
        self.file.calls.append(
            LlmCall(
                call_id=names.call_id(self.session_id, self.steps),
                session_id=self.session_id,
                agent_id=names.agent_id(self.session_id, model.role),
                step=self.steps,
                usage=usage,
                provider=model.provider,
                model=model.name,
                started_ns=self._now_ns,
                duration_ns=max(0, (ended_ns or 0) - (self._now_ns or 0)) if known else None,
                prompt=prompt,
                output=(output,),
                reported_cost_usd=optional_usd(fields, "cost"),
                finish_reason=_finish(response),
                response_id=optional_text(response, "id"),
            )
        )
        self.steps += 1

    def _ask(self, asked: list[Record], model: _Model, started_ns: int | None) -> None:
        step = self.steps - 1
        for place, call in enumerate(asked):
            if (tool_id := optional_text(call, "id")) is not None:
                self._waiting[tool_id] = len(self.file.tool_calls)
            self.file.tool_calls.append(
                ToolCall(
                    names.tool_call_id(names.call_id(self.session_id, step), place),
                    self.session_id,
                    names.agent_id(self.session_id, model.role),
                    text(call, "name"),
                    after_step=step,
                    started_ns=started_ns,
                    arguments=tool_text.written(call.get("arguments")),
                )
            )


def _spoken(fields: Record, asked: list[Record]) -> chat.Message:
    """Write what a model said as the message of a chat API, as its own side sees it."""
    message: chat.Message = {"role": "assistant", "content": fields.get("content")}
    if asked:
        message["tool_calls"] = [
            {
                "id": call.get("id"),
                "type": "function",
                "function": {
                    "name": text(call, "name"),
                    "arguments": orjson.dumps(call.get("arguments")).decode(),
                },
            }
            for call in asked
        ]
    elif message["content"] is not None:
        message["content"] = chat.content(fields)
    return message


def _finish(response: Record) -> str | None:
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return optional_text(first if isinstance(first, dict) else response, "finish_reason")


def _usage(fields: Record, response: Record, prompt: tuple[Segment, ...], output: Segment) -> Usage:
    """Read what the response reports, else the message's two counts, else estimate from text."""
    answered = usage_of_body(response)
    if answered is not None:
        return answered
    reported = fields.get("usage")
    if reported is None:
        return Usage(
            uncached_tokens=chat.input_tokens(prompt),
            output_tokens=output.tokens,
            origin="estimated",
            cache_reported=False,
        )
    usage = record(reported, "`usage`")
    return Usage(
        uncached_tokens=count(usage, "prompt_tokens"),
        output_tokens=count(usage, "completion_tokens"),
        cache_reported=False,  # until `recover` finds it in the bill
    )

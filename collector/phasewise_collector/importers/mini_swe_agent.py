"""mini-swe-agent's trajectories (`*.traj.json`): a run's messages, each answer with its response.

An answer keeps the provider's response in `extra.response` (or is the response itself, in the
Responses API), with cost and time; an answer in the wrong format is kept beside the message that
complained about it, and was paid all the same. The prompt is all messages before, without `extra`.
Where a response is not kept, tokens are estimated from text.
Source: https://github.com/SWE-agent/mini-swe-agent, agents/default.py and models/.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from phasewise_store.facts import Agent, Batch, Source
from phasewise_store.segments import text_segment

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.documents import Document, has_keys, read_roots
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    items,
    moment_ns,
    optional_text,
    optional_usd,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.model_names import litellm_names
from phasewise_collector.importers.transcript import Transcript, blank_call
from phasewise_collector.usage.reader import usage_of_body

FORMAT = "mini-swe-agent"
SOURCE = "mini-swe-agent"
ROLE = "mini-swe-agent"
_SECOND_NS = 10**9
_TOOL = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Execute a bash command",
        "parameters": {
            "type": "object",
            "properties": {
                "command": {"type": "string", "description": "The bash command to execute"}
            },
            "required": ["command"],
        },
    },
}
"""the one tool that every request offers since version 2, which the file does not repeat"""


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the document says its format, or holds a run of this agent."""
    named = path.name.removesuffix(".gz").endswith((".traj.json", ".traj"))
    if b'"mini-swe-agent' in head and has_keys(head, b"{", ("messages",)):
        return True
    return has_keys(head, b"{", ("mini_version",)) or (
        named and has_keys(head, b"{", ("info", "messages", "model_stats"))
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the run as a session."""
    for part in read_roots(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        document, root = part
        try:
            run = _Run.of(root, trace, document)
            messages = items(root, "messages")
        except BadRecordError as error:
            yield document.skip(error)
            continue
        for place, value in enumerate(messages):
            try:
                run.take(record(value, "the message"))
            except BadRecordError as error:
                yield document.skip(error, "messages", place)
        if run.transcript.calls:
            yield Batch(
                Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
                sessions=(run.transcript.session(run.name, run.outcome),),
                agents=(run.transcript.agent,),
                llm_calls=tuple(run.transcript.calls),
                tool_calls=tuple(run.transcript.tool_calls),
            )


@dataclass(slots=True)
class _Run:
    name: str
    outcome: str | None
    provider: str | None
    model: str | None
    transcript: Transcript
    last_ns: int | None = None
    """when the message before was there"""

    @classmethod
    def of(cls, root: Record, trace: Trace, document: Document) -> "_Run":
        """Start from what the document says of the whole run."""
        info = _inner(root, "info")
        name = optional_text(root, "instance_id") or trace.path.name.split(".traj")[0]
        session_id = names.SessionNames(document.source_id).new(name)
        agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
        config = _inner(_inner(info, "config"), "model")
        named = optional_text(config, "model_name")
        provider, model = litellm_names(named) if named else (None, None)
        transcript = Transcript(agent, chat.Segments())
        if _offers_a_tool(root):
            transcript.extend([text_segment("tool", orjson.dumps(_TOOL).decode())])
        outcome = optional_text(info, "exit_status")
        return cls(name, outcome or None, provider, model, transcript)

    def take(self, message: Record) -> None:
        """Add a message; one that has a response is a call."""
        extra = _inner(message, "extra")
        ended_ns = _moment(extra, "timestamp")
        if message.get("object") == "response":
            self._response(message, extra, ended_ns)
        elif message.get("role") == "assistant":
            self._call(_plain(message), _inner(extra, "response"), extra, ended_ns)
        elif message.get("role") != "exit":
            if isinstance(extra.get("response"), dict):  # in the wrong format, and not kept
                response = record(extra["response"], "`response`")
                self._call(_choice(response), response, extra, ended_ns, kept=False)
            self.transcript.add(_named(_plain(message)))
        self.last_ns = ended_ns or self.last_ns

    def _response(self, message: Record, extra: Record, ended_ns: int | None) -> None:
        said = [dict(record(item, "an item")) for item in items(message, "output")]
        output: chat.Message = {"role": "assistant", "content": said}
        asked = [text(item, "name") for item in said if item.get("type") == "function_call"]
        self._add(output, message, extra, ended_ns, asked)

    def _call(
        self,
        output: chat.Message | None,
        response: Record,
        extra: Record,
        ended_ns: int | None,
        *,
        kept: bool = True,
    ) -> None:
        asked = [
            text(record(one.get("function"), "`function`"), "name")
            for one in chat.tool_calls(output or {})
        ]
        if not asked and isinstance(extra.get("actions"), list):
            asked = ["bash"] * len(items(extra, "actions"))
        before = list(self.transcript.history)
        self._add(output, response, extra, ended_ns, asked)
        if not kept:
            self.transcript.history = before

    def _add(
        self,
        output: chat.Message | None,
        response: Record,
        extra: Record,
        ended_ns: int | None,
        asked: list[str],
    ) -> None:
        created = next((key for key in ("created", "created_at") if response.get(key)), None)
        began_ns = self.last_ns if ended_ns is not None else None
        if began_ns is None and created is not None:
            began_ns = _moment(response, created)
        answered = optional_text(response, "model")
        known = ended_ns is not None and began_ns is not None
        self.transcript.call(
            output,
            replace(
                blank_call(),
                provider=self.provider,
                model=litellm_names(answered)[1] if answered else self.model,
                started_ns=began_ns if began_ns is not None else ended_ns,
                duration_ns=max(0, (ended_ns or 0) - (began_ns or 0)) if known else None,
                reported_cost_usd=optional_usd(extra, "cost") or None,
                finish_reason=optional_text(_first(response), "finish_reason"),
                response_id=optional_text(response, "id"),
            ),
            usage=usage_of_body(response),
            asked=asked,
            tool_starts_ns=ended_ns,
        )


def _offers_a_tool(root: Record) -> bool:
    """Return whether the run used tool calls: the answers of others hold commands as text."""
    messages = root.get("messages")
    return isinstance(messages, list) and any(
        isinstance(one, dict)
        and (one.get("tool_calls") or one.get("object") == "response" or one.get("role") == "tool")
        for one in messages
    )


def _plain(message: Record) -> chat.Message:
    return {
        key: value
        for key, value in message.items()
        if key not in ("extra", "provider_specific_fields")
        and (value is not None or key == "content")
    }


def _named(message: chat.Message) -> chat.Message:
    """Return a tool's result its tool's name, and the role that the Responses API leaves out."""
    if message.get("type") == "function_call_output":
        said = {"tool_call_id": message.get("call_id"), "content": message.get("output")}
        return {"role": "tool", "name": "bash", **said}
    if message.get("role") == "tool":
        return {"name": "bash", **message}
    return {"role": "user", **message}


def _choice(response: Record) -> chat.Message | None:
    message = _first(response).get("message")
    return _plain(message) if isinstance(message, dict) and "role" in message else None


def _first(response: Record) -> Record:
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _inner(fields: Record, key: str) -> Record:
    found = fields.get(key)
    return found if isinstance(found, Mapping) else {}


def _moment(fields: Record, key: str) -> int | None:
    value = fields.get(key)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return moment_ns(fields, key, unit_ns=_SECOND_NS) if numeric else None

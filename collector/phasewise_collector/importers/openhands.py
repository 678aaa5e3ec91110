"""OpenHands: complete logs of single calls (its SDK), and event streams of whole runs (evaluation).

An SDK log is one JSON document per call: messages, tool schemas, the provider's response with
usage, cost and latency. It is written when the response is complete. A folder is one session.
An evaluation output has one run per line: events, of which those with a model's response are calls.
Source: https://github.com/OpenHands/software-agent-sdk and All-Hands-AI/OpenHands.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
from phasewise_store.facts import Agent, Batch, Segment, Session, Source
from phasewise_store.segments import text_segment

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.documents import has_keys, read_document
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    items,
    moment_ns,
    optional_span_ns,
    optional_text,
    optional_usd,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.model_names import litellm_names
from phasewise_collector.importers.transcript import Transcript, blank_call
from phasewise_collector.usage.reader import usage_of_body

FORMAT = "openhands-sdk"
SOURCE = "openhands-sdk"
ROLE = "openhands"
SECOND_NS = 10**9
_PARAMETERS = ("temperature", "top_p", "max_completion_tokens", "max_tokens", "stop", "seed")


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the document is the log of one call.

    The response stands behind messages and tools, often beyond the head: the file's name, which
    ends in the moment of the call, says the rest.
    """
    if not has_keys(head, b"{", ("messages",)):
        return False
    named = path.name.removesuffix(".gz").removesuffix(".json").rpartition("-")[2]
    return has_keys(head, b"{", ("response", "latency_sec")) or (
        named.replace(".", "", 1).isdecimal() and has_keys(head, b"{", ("messages", "role"))
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the one call of the file."""
    for part in read_document(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        try:
            yield _call(trace, record(part.root, "the document"))
        except BadRecordError as error:
            yield part.skip(error)


def _call(trace: Trace, log: Record) -> Batch:
    response = record(log.get("response"), "`response`")
    choice = record((items(response, "choices") or [None])[0], "the first choice")
    answer = dict(record(choice.get("message"), "`message`"))
    ended_ns = moment_ns(log, "timestamp", unit_ns=SECOND_NS)
    took_ns = optional_span_ns(log, "latency_sec", unit_ns=SECOND_NS)
    # calls of one folder belong together: their names differ by the moment only
    folder = hashlib.sha256(str(trace.path.resolve().parent).encode()).hexdigest()
    session_id = names.SessionNames(folder).new(trace.path.resolve().parent.name)
    agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
    transcript = Transcript(agent, chat.Segments())
    transcript.extend(_tools(log))
    for message in items(log, "messages"):
        transcript.add(dict(record(message, "a message")))
    provider, model = litellm_names(text(response, "model"))
    kwargs = log.get("kwargs")
    asked = [
        text(record(one.get("function"), "`function`"), "name") for one in chat.tool_calls(answer)
    ]
    call = transcript.call(
        {key: value for key, value in answer.items() if value is not None},
        replace(
            blank_call(),
            provider=provider,
            model=model,
            started_ns=ended_ns - (took_ns or 0),
            duration_ns=took_ns,
            reported_cost_usd=optional_usd(log, "cost"),
            finish_reason=optional_text(choice, "finish_reason"),
            response_id=optional_text(response, "id"),
            request={k: v for k, v in kwargs.items() if k in _PARAMETERS}
            if isinstance(kwargs, dict)
            else {},
        ),
        usage=usage_of_body(response),
        asked=asked,
        tool_starts_ns=ended_ns,
    )
    unique = f"{session_id}.{trace.source_id[:12]}"
    return Batch(
        Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
        sessions=(Session(session_id, trace.path.resolve().parent.name),),
        agents=(agent,),
        llm_calls=(replace(call, call_id=unique),),
        tool_calls=tuple(
            replace(one, tool_call_id=f"{unique}.{place}")
            for place, one in enumerate(transcript.tool_calls)
        ),
        numbered=False,
    )


def _tools(log: Record) -> Iterator[Segment]:
    kwargs = log.get("kwargs")
    tools = log.get("tools") or (kwargs.get("tools") if isinstance(kwargs, dict) else None)
    for tool in tools if isinstance(tools, list) else ():
        yield text_segment("tool", orjson.dumps(tool).decode())

"""SWE-agent trajectories (`.traj`): the history of messages, and totals of what a run cost.

Every assistant message is a call that read all before it. Usage is recorded as a sum over the run
only; a call's own tokens are estimated. Demonstrations in the history are part of the prompt.
Source: https://github.com/SWE-agent/SWE-agent.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from phasewise_store.facts import Agent, Batch, Source

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.documents import Document, has_keys, read_roots
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    items,
    optional_text,
    record,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.transcript import Transcript, blank_call

FORMAT = "swe-agent"
SOURCE = "swe-agent"
ROLE = "swe-agent"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the document holds a history, and its file is named as SWE-agent does."""
    named = path.name.removesuffix(".gz").endswith(".traj")
    return named and (has_keys(head, b"{", ("history",)) or has_keys(head, b"{", ("trajectory",)))


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the run as a session."""
    for part in read_roots(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        document, run = part
        try:
            history = items(run, "history")
        except BadRecordError as error:
            yield document.skip(error)
            continue
        yield from _run(trace, document, run, history)


def _run(
    trace: Trace, document: Document, run: Record, history: list[object]
) -> Iterator[Batch | Skipped | Note]:
    info = run.get("info") if isinstance(run.get("info"), dict) else {}
    assert isinstance(info, dict)
    session_id = names.SessionNames(document.source_id).new(trace.path.name.split(".traj")[0])
    agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
    transcript = Transcript(agent, chat.Segments())
    for place, value in enumerate(history):
        try:
            _take(transcript, record(value, "the message"))
        except BadRecordError as error:
            yield document.skip(error, "history", place)
    if not transcript.calls:
        return
    yield from _totals(info, transcript)
    yield Batch(
        Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
        sessions=(transcript.session(session_id, optional_text(info, "exit_status")),),
        agents=(agent,),
        llm_calls=tuple(transcript.calls),
        tool_calls=tuple(transcript.tool_calls),
    )


def _take(transcript: Transcript, message: Record) -> None:
    role = text(message, "role")
    made: chat.Message = {"role": role, "content": message.get("content")}
    asked = chat.tool_calls(message)
    if asked:
        made["tool_calls"] = asked
    ids = message.get("tool_call_ids")
    if isinstance(ids, list) and ids:
        made["tool_call_id"] = ids[0]
    if role == "assistant":
        called = [text(record(one.get("function"), "`function`"), "name") for one in asked]
        reason = "tool_calls" if asked else "stop"
        transcript.call(made, replace(blank_call(), finish_reason=reason), asked=called)
    else:
        transcript.add(made)


def _totals(info: Record, transcript: Transcript) -> Iterator[Note]:
    stats = info.get("model_stats")
    if isinstance(stats, dict) and stats.get("tokens_sent"):
        yield Note(
            f"the run reports a total of {stats['tokens_sent']:,} tokens sent and "
            f"{stats.get('tokens_received', 0):,} received in {len(transcript.calls)} calls; "
            "the tokens of each call are estimated from its text"
        )

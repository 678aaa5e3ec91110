"""lmcache-agent-trace files: one call a line, the whole prompt as one string.

A line is `{timestamp (µs), input, output, session_id}`. A file is a session; most are not in the
order of their timestamps, and file order is kept. Some inputs are empty (calls with images): those
calls have no known prompt. Which agent of a session sent a prompt is not recorded, nor the model;
tokens are estimated from text.
Source: https://github.com/LMCache/lmcache-agent-trace.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage
from phasewise_store.segments import raw_segments

from phasewise_collector.importers import names
from phasewise_collector.importers.fields import Record, moment_ns, text
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines

FORMAT = "lmcache-agent-trace"
SOURCE = "lmcache-agent-trace"

AGENT_FOLDERS = ("miniswe", "magagent")
"""the publisher keeps the files of each agent program in a folder of its name"""

_MICROSECOND_NS = 1000


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is a call; a line longer than the head shows its first keys only."""
    del path
    keys = {"timestamp", "input", "output", "session_id"}
    start = head.lstrip()[:64]
    return any_line_has(head, keys) or (
        start.startswith(b'{"timestamp":') and b'"input": ' in start
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the calls of each session in file order."""
    session_names = names.SessionNames(trace.source_id)
    sessions: dict[str, Session] = {}
    agents: list[Agent] = []
    calls: list[LlmCall] = []
    steps: dict[str, int] = {}
    folder = trace.path.resolve().parent.name
    role = folder if folder in AGENT_FOLDERS else FORMAT

    def call(fields: Record) -> LlmCall:
        recorded = text(fields, "session_id")
        prompt, answer = text(fields, "input"), text(fields, "output")
        at_ns = moment_ns(fields, "timestamp", unit_ns=_MICROSECOND_NS)
        if recorded not in sessions:
            session_id = session_names.new(recorded)
            sessions[recorded] = Session(session_id, name=recorded)
            agents.append(Agent(names.agent_id(session_id, role), session_id, role))
        session_id = sessions[recorded].session_id
        step = steps.get(session_id, 0)
        steps[session_id] = step + 1
        segments, output = raw_segments(prompt), raw_segments(answer)
        return LlmCall(
            call_id=names.call_id(session_id, step),
            session_id=session_id,
            agent_id=names.agent_id(session_id, role),
            step=step,
            usage=Usage(
                uncached_tokens=sum(part.tokens for part in segments),
                output_tokens=sum(part.tokens for part in output),
                origin="estimated",
                cache_reported=False,
            ),
            started_ns=at_ns,
            prompt=segments,
            output=output,
        )

    yield from read_lines(trace, lambda fields: calls.append(call(fields)))
    if not calls:
        return
    if empty := sum(not call.prompt for call in calls):
        yield Note(f"{empty} calls have an empty prompt: their input is not recorded")
    yield Batch(
        Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
        sessions=tuple(sessions.values()),
        agents=tuple(agents),
        llm_calls=tuple(calls),
    )

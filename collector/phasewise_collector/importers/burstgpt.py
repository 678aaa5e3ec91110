"""BurstGPT traces: requests to ChatGPT and GPT-4 at one university, as counts without text.

CSV with Timestamp (seconds since the trace's start), Model, Request tokens, Response tokens, Total
tokens, Log Type; the third file also has Session ID and Elapsed time (seconds). Requests without a
session id are one session per kind of log. A response of no tokens is a request that failed.
Source: https://github.com/HPMLL/BurstGPT.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage

from phasewise_collector.importers import names, tables
from phasewise_collector.importers.fields import BadRecordError
from phasewise_collector.importers.importer import Note, Skipped, Trace

FORMAT = "burstgpt"
SOURCE = "burstgpt"
COLUMNS = frozenset({"Timestamp", "Model", "Request tokens", "Response tokens"})
PROVIDER = "openai"
"""all requests went to OpenAI's models; the source calls GPT-3.5 `ChatGPT`"""

_SECOND_NS = 10**9
_FAILED = "no response tokens"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file begins with the columns' names."""
    del path
    return tables.columns(head) >= COLUMNS


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every request, in the file's order."""
    file = _File(names.SessionNames(trace.source_id))
    for part in tables.read_table(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        line, row = part
        try:
            file.take(row)
        except BadRecordError as error:
            yield Skipped(line, str(error))
    if file.failed:
        yield Note(f"{file.failed} requests failed: they have no response tokens")
    if file.calls:
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=tuple(
                Session(agent.session_id, recorded) for recorded, agent in file.agents.items()
            ),
            agents=tuple(file.agents.values()),
            llm_calls=tuple(file.calls),
        )


@dataclass(slots=True)
class _File:
    names: names.SessionNames
    agents: dict[str, Agent] = field(default_factory=dict)
    """the one agent of each session, by the session's recorded name"""
    steps: dict[str, int] = field(default_factory=dict)
    calls: list[LlmCall] = field(default_factory=list)
    failed: int = 0

    def take(self, row: tables.Row) -> None:
        """Add a request."""
        kind = row.get("Log Type") or "requests"
        recorded = row.get("Session ID") or kind
        read, written = tables.whole(row, "Request tokens"), tables.whole(row, "Response tokens")
        started_ns = round(tables.number(row, "Timestamp") * _SECOND_NS)
        took_ns = round(tables.number(row, "Elapsed time") * _SECOND_NS)
        agent = self.agents.get(recorded)
        if agent is None:
            session_id = self.names.new(recorded)
            agent = Agent(names.agent_id(session_id, kind.lower()), session_id, kind.lower())
            self.agents[recorded] = agent
        step = self.steps.get(recorded, 0)
        self.steps[recorded] = step + 1
        self.failed += written == 0
        self.calls.append(
            LlmCall(
                call_id=names.call_id(agent.session_id, step),
                session_id=agent.session_id,
                agent_id=agent.agent_id,
                step=step,
                usage=Usage(uncached_tokens=read, output_tokens=written, cache_reported=False),
                provider=PROVIDER,
                model=row.get("Model") or None,
                started_ns=started_ns,
                duration_ns=took_ns or None,
                error=_FAILED if written == 0 else None,
            )
        )

"""Azure LLM inference traces: a moment and two token counts a request, nothing else.

CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens (2025: NumImages as well). Moments
have up to seven fractional digits, since 2024 a time zone, and without one are read as UTC. All
requests of a file are one session, as no user is known.
Source: https://github.com/Azure/AzurePublicDataset, AzureLLMInferenceDataset2023 and 2024.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage

from phasewise_collector.importers import names, tables
from phasewise_collector.importers.fields import BadRecordError, iso_ns
from phasewise_collector.importers.importer import Note, Skipped, Trace

FORMAT = "azure-llm"
SOURCE = "azure-llm"
"""and the year, of which there are several"""
ROLE = "service"
COLUMNS = frozenset({"TIMESTAMP", "ContextTokens", "GeneratedTokens"})


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file begins with the columns' names."""
    del path
    return tables.columns(head) >= COLUMNS


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every request, in the file's order, as calls of one session."""
    session_id = names.SessionNames(trace.source_id).new("requests")
    agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
    calls: list[LlmCall] = []
    for part in tables.read_table(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        line, row = part
        try:
            calls.append(_call(row, agent, len(calls)))
        except BadRecordError as error:
            yield Skipped(line, str(error))
    if calls:
        year = datetime.fromtimestamp((calls[0].started_ns or 0) / 1e9, tz=UTC).year
        yield Batch(
            Source(trace.source_id, f"{SOURCE}-{year}", FORMAT, str(trace.path)),
            sessions=(Session(session_id, "requests", calls[0].started_ns, calls[-1].started_ns),),
            agents=(agent,),
            llm_calls=tuple(calls),
        )


def _call(row: tables.Row, agent: Agent, step: int) -> LlmCall:
    return LlmCall(
        call_id=names.call_id(agent.session_id, step),
        session_id=agent.session_id,
        agent_id=agent.agent_id,
        step=step,
        usage=Usage(
            uncached_tokens=tables.whole(row, "ContextTokens"),
            output_tokens=tables.whole(row, "GeneratedTokens"),
            cache_reported=False,
        ),
        started_ns=iso_ns(row, "TIMESTAMP"),
    )

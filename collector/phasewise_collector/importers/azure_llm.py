"""Azure LLM inference traces: a moment and two token counts a request, nothing else.

CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens; the moments have seven fractional
digits and no time zone, and are read as UTC. All requests of a file are one session, as no user is
known.
Source: https://github.com/Azure/AzurePublicDataset, AzureLLMInferenceTrace.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage

from phasewise_collector.importers import names
from phasewise_collector.importers.fields import BadRecordError, iso_ns
from phasewise_collector.importers.importer import Note, Skipped, Trace

FORMAT = "azure-llm"
SOURCE = "azure-llm-2023"
ROLE = "service"
COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_HEADER = ",".join(COLUMNS).encode()
_TICKS = 7  # fractional digits; Python reads six
_TICK_NS = 100


def recognises(head: bytes, path: Path) -> bool:
    """Say whether the file begins with the columns' names."""
    del path
    return head.startswith(_HEADER)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Give every request, in the file's order, as calls of one session."""
    session_id = names.SessionNames(trace.source_id).new("requests")
    agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
    calls: list[LlmCall] = []
    text = trace.data.decode("utf-8", "replace")
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        if number == 1 or not row:
            continue
        try:
            calls.append(_call(row, agent, len(calls)))
        except (BadRecordError, ValueError) as error:
            yield Skipped(number, str(error))
    if trace.damage is not None:
        yield Skipped(None, f"{trace.damage}; what follows is lost")
    if calls:
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=(Session(session_id, "requests", calls[0].started_ns, calls[-1].started_ns),),
            agents=(agent,),
            llm_calls=tuple(calls),
        )


def _call(row: list[str], agent: Agent, step: int) -> LlmCall:
    if len(row) != len(COLUMNS):
        raise BadRecordError(f"{len(row)} columns, not {len(COLUMNS)}")
    whole, _, fraction = row[0].partition(".")
    ticks = int(fraction[:_TICKS].ljust(_TICKS, "0")) if fraction else 0
    read, written = (int(value) for value in row[1:])
    if read < 0 or written < 0:
        raise BadRecordError("a token count is negative")
    return LlmCall(
        call_id=names.call_id(agent.session_id, step),
        session_id=agent.session_id,
        agent_id=agent.agent_id,
        step=step,
        usage=Usage(uncached_tokens=read, output_tokens=written, cache_reported=False),
        started_ns=iso_ns({"TIMESTAMP": whole}, "TIMESTAMP") + ticks * _TICK_NS,
    )

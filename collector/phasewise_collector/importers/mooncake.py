"""Mooncake request traces: one request a line, prompts as hashes of 512-token blocks.

Lines are `{timestamp, input_length, output_length, hash_ids}`. There is no text, no model and no
session: the whole file is one session of one agent, in file order, because its batches of requests
with equal timestamps have no other order. `timestamp` is milliseconds from the start of the trace,
so the times in the store count from 1970 and are no dates.
Source: https://github.com/kvcache-ai/Mooncake, FAST25-release.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage

from phasewise_collector.importers import names
from phasewise_collector.importers.fields import Record, count, items, span_ns
from phasewise_collector.importers.hashed_prompt import HashedPrompts
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines

FORMAT = "mooncake"
SOURCE = "mooncake"
BLOCK_TOKENS = 512

_MILLISECOND_NS = 10**6


def recognises(head: bytes, path: Path) -> bool:
    """Say whether a line is a request."""
    del path
    return any_line_has(head, {"timestamp", "input_length", "output_length", "hash_ids"})


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Give all requests as one session."""
    session_id = names.SessionNames(trace.source_id).new("mooncake")
    agent_id = names.agent_id(session_id, FORMAT)
    blocks = HashedPrompts(trace.source_id, BLOCK_TOKENS)
    calls: list[LlmCall] = []

    def call(fields: Record) -> LlmCall:
        input_tokens = count(fields, "input_length")
        step = len(calls)
        return LlmCall(
            call_id=names.call_id(session_id, step),
            session_id=session_id,
            agent_id=agent_id,
            step=step,
            usage=Usage(
                uncached_tokens=input_tokens,
                output_tokens=count(fields, "output_length"),
                cache_reported=False,
            ),
            started_ns=span_ns(fields, "timestamp", unit_ns=_MILLISECOND_NS),
            prompt=blocks.prompt(items(fields, "hash_ids"), input_tokens),
            block_tokens=BLOCK_TOKENS,
        )

    yield from read_lines(trace, lambda fields: calls.append(call(fields)))
    if calls:
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=(Session(session_id, name=trace.path.name),),
            agents=(Agent(agent_id, session_id, FORMAT),),
            llm_calls=tuple(calls),
        )

"""Bodies of provider responses reduced to model and usage, as `genai-prices` keeps them for tests.

A list of `{body: {model, usage…}, …}`. Each body is a call of which only its usage is known.
Source: https://github.com/pydantic/genai-prices, tests/dataset/usages.json.
"""

from collections.abc import Iterator
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source

from phasewise_collector.importers import names
from phasewise_collector.importers.documents import has_keys, read_document
from phasewise_collector.importers.fields import BadRecordError, Record, record
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.model_names import provider_of
from phasewise_collector.usage.reader import reported_cost_usd, usage_of_body

FORMAT = "usage-bodies"
SOURCE = "genai-prices"
ROLE = "provider"


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the document is a list of bodies with what was read out of them."""
    del path
    return has_keys(head, b"[", ("body", "extracted", "model"))


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every body as a call of one session."""
    for part in read_document(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        session_id = names.SessionNames(part.source_id).new("bodies")
        agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
        calls: list[LlmCall] = []
        for place, value in enumerate(part.root if isinstance(part.root, list) else ()):
            try:
                calls.append(_call(record(value, "the entry"), agent, len(calls)))
            except BadRecordError as error:
                yield part.skip(error, place)
        if calls:
            yield Batch(
                Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
                sessions=(Session(session_id, "provider response bodies"),),
                agents=(agent,),
                llm_calls=tuple(calls),
            )


def _call(entry: Record, agent: Agent, step: int) -> LlmCall:
    body = record(entry.get("body"), "`body`")
    usage = usage_of_body(body)
    if usage is None:
        raise BadRecordError("the body reports no token usage")
    model = body.get("model", body.get("modelVersion"))
    named = model if isinstance(model, str) else None
    return LlmCall(
        call_id=names.call_id(agent.session_id, step),
        session_id=agent.session_id,
        agent_id=agent.agent_id,
        step=step,
        usage=usage,
        provider=provider_of(named) if named else None,
        model=named,
        reported_cost_usd=reported_cost_usd(body),
    )

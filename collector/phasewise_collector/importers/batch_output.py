"""Results of batches: OpenAI's batch output files, and those of Anthropic's Message Batches.

A line has the response of one request, under the request's `custom_id`: `response.body` (OpenAI and
others that copy it), or `result.message` (Anthropic). The requests are in another file, so prompts
are not known; all are billed at the batch tier. Failed requests are not billed, and are counted in
a note.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source

from phasewise_collector.dialects.content import content_of
from phasewise_collector.importers import names
from phasewise_collector.importers.fields import (
    BadRecordError,
    Record,
    moment_ns,
    optional_text,
    record,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.model_names import provider_of
from phasewise_collector.usage.reader import usage_of_body

FORMAT = "batch-output"
SOURCE = "batch-output"
ROLE = "batch"
TIER = "batch"
_SECOND_NS = 10**9
_FIRST_ERROR = 400


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line is the result of a request."""
    del path
    return any_line_has(head, {"custom_id", "response"}) or any_line_has(
        head, {"custom_id", "result"}
    )


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every answered request as a call of one session."""
    session_id = names.SessionNames(trace.source_id).new("batch")
    agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
    calls: list[LlmCall] = []
    failed: list[str] = []

    def take(fields: Record) -> None:
        body = _answer(fields)
        if body is None:
            failed.append(str(fields.get("custom_id")))
        else:
            calls.append(_call(body, agent, len(calls)))

    yield from read_lines(trace, take)
    if failed:
        yield Note(
            f"{len(failed)} requests failed, for example `{failed[0][:40]}`; they are not billed"
        )
    if calls:
        starts = [call.started_ns for call in calls if call.started_ns is not None]
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=(Session(session_id, trace.path.name, min(starts, default=None)),),
            agents=(agent,),
            llm_calls=tuple(calls),
        )


def _answer(fields: Record) -> Record | None:
    """Return the body of the provider's response; None where the request failed."""
    if fields.get("result") is not None:
        result = record(fields["result"], "`result`")
        message = result.get("message")
        return message if isinstance(message, dict) else None
    if fields.get("response") is None:
        return None
    response = record(fields["response"], "`response`")
    status = response.get("status_code")
    failed = isinstance(status, int) and status >= _FIRST_ERROR
    return None if failed else record(response.get("body"), "`response.body`")


def _call(body: Record, agent: Agent, step: int) -> LlmCall:
    usage = usage_of_body(body)
    if usage is None:
        raise BadRecordError("the response reports no token usage")
    model = optional_text(body, "model")
    content = content_of({"output.value": orjson.dumps(body).decode()})
    created = next((key for key in ("created", "created_at") if body.get(key) is not None), None)
    return LlmCall(
        call_id=names.call_id(agent.session_id, step),
        session_id=agent.session_id,
        agent_id=agent.agent_id,
        step=step,
        usage=replace(usage, billing=replace(usage.billing, service_tier=TIER)),
        provider=provider_of(model) if model else None,
        model=model,
        started_ns=moment_ns(body, created, unit_ns=_SECOND_NS) if created else None,
        output=content.answer,
        response_id=optional_text(body, "id"),
    )

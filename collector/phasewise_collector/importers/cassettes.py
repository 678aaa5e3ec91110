"""VCR cassettes: recorded HTTP requests to providers and their answers, as tests keep them.

Bodies stand parsed (`parsed_body`), as text, or as bytes that may be gzip; a stream is server-sent
events. Requests that are no call of a model (counting tokens, uploading files) are left out. No
times are recorded. Each cassette is a session.
"""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import yaml
from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage

from phasewise_collector.dialects.cache_diagnostics import diagnosis
from phasewise_collector.dialects.content import content_of
from phasewise_collector.importers import names
from phasewise_collector.importers.event_stream import assembled
from phasewise_collector.importers.fields import BadRecordError, Record, items, record
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.model_names import provider_at
from phasewise_collector.usage.reader import reported_cost_usd, usage_of_body

FORMAT = "cassettes"
SOURCE = "cassettes"
ROLE = "client"
_GZIP = 16 + zlib.MAX_WBITS
_MOST_BYTES = 64 << 20
_PARAMETERS = ("messages", "input", "contents", "system", "instructions", "tools", "model")


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the file is YAML with interactions."""
    del path
    return any(line.startswith(b"interactions:") for line in head.split(b"\n", 20)[:20])


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return the cassette's calls as a session."""
    try:
        document = yaml.load(trace.data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # a safe loader
        interactions = items(record(document, "the document"), "interactions")
    except (yaml.YAMLError, BadRecordError, ValueError) as error:
        yield Skipped(None, f"no cassette: {error}")
        return
    name = trace.path.name.removesuffix(".gz").removesuffix(".yaml")
    session_id = names.SessionNames(trace.source_id).new(name)
    agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
    calls: list[LlmCall] = []
    others = 0
    for place, value in enumerate(interactions):
        try:
            call = _call(record(value, "the interaction"), agent, len(calls))
        except (BadRecordError, zlib.error, ValueError) as error:
            yield Skipped(None, f"`interactions[{place}]`: {error}")
            continue
        if call is None:
            others += 1
        else:
            calls.append(call)
    if others:
        yield Note(f"{others} requests are not model calls")
    if calls:
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=(Session(session_id, name),),
            agents=(agent,),
            llm_calls=tuple(calls),
        )


def _call(interaction: Record, agent: Agent, step: int) -> LlmCall | None:
    request = record(interaction.get("request"), "`request`")
    response = record(interaction.get("response"), "`response`")
    sent, answered = _body(request), _body(response)
    if answered is None or not _is_answer(answered):
        return None
    sent = sent or {}
    content = content_of(
        {
            "input.value": orjson.dumps(sent).decode(),
            "output.value": orjson.dumps(answered).decode(),
        }
    )
    usage = usage_of_body(answered)
    if usage is None:
        usage = Usage(
            uncached_tokens=sum(segment.tokens for segment in content.prompt),
            output_tokens=sum(segment.tokens for segment in content.answer),
            origin="estimated",
            cache_reported=False,
        )
    uri = request.get("uri")
    model = answered.get("model", answered.get("modelVersion", sent.get("model")))
    named = model if isinstance(model, str) else _model_in(str(uri))
    identity = answered.get("id", answered.get("responseId"))
    return LlmCall(
        call_id=names.call_id(agent.session_id, step),
        session_id=agent.session_id,
        agent_id=agent.agent_id,
        step=step,
        usage=usage,
        reported_cost_usd=reported_cost_usd(answered),
        provider=provider_at(str(uri), named),
        model=named,
        prompt=content.prompt,
        output=content.answer,
        finish_reason=_finish(answered),
        response_id=identity if isinstance(identity, str) else None,
        streamed=sent.get("stream") is True,
        fidelity=content.fidelity if content.prompt else None,
        request={
            key: value
            for key, value in sent.items()
            if key not in _PARAMETERS and isinstance(value, str | int | float | bool)
        }
        | ({"cache_markers": content.marks} if content.marks else {})
        | ({"cache_diagnosis": said} if (said := diagnosis(answered)) else {}),
    )


def _is_answer(body: Mapping[str, object]) -> bool:
    keys = ("choices", "candidates", "output", "content", "stop_reason")
    return any(key in body for key in keys)


def _finish(body: Mapping[str, object]) -> str | None:
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        reason = choices[0].get("finish_reason")
    else:
        reason = body.get("stop_reason", body.get("stopReason"))
    return reason if isinstance(reason, str) else None


def _model_in(uri: str) -> str | None:
    """Find the model where it stands in the address: Bedrock's `/model/NAME/converse`, Google's."""
    for mark, end in (("/model/", "/"), ("/models/", ":")):
        if mark in uri:
            return uri.partition(mark)[2].partition(end)[0].replace("%3A", ":")
    return None


def _body(message: Record) -> dict[str, object] | None:
    """Return a body as an object; None where it is none."""
    parsed = message.get("parsed_body")
    if isinstance(parsed, dict):
        return parsed
    raw = message.get("body")
    if isinstance(raw, dict):
        raw = raw.get("string", raw.get("base64_string"))
    if raw is None:
        return None
    data = raw if isinstance(raw, bytes) else str(raw).encode()
    if data.startswith(b"\x1f\x8b"):
        data = zlib.decompressobj(_GZIP).decompress(data, _MOST_BYTES)
    text = data.decode("utf-8", "replace")
    if "data:" in text and not text.lstrip().startswith(("{", "[")):
        return assembled(text)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None

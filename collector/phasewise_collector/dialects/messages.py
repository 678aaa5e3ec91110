"""Read a span's prompt and response as the messages and tools of a chat API.

Best first: the request itself (OpenInference's `input.value`, Google's `llm_request`), the message
attributes of OpenTelemetry, Vercel, LangSmith and Langfuse, the flattened ones of OpenInference and
of old OpenTelemetry, span events.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from phasewise_store.facts import Fidelity

from phasewise_collector.dialects import flattened, typed_parts, written
from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.dialects.chat_values import Message, mapping, parsed, tool_call
from phasewise_collector.dialects.histories import HERE, Histories
from phasewise_collector.dialects.written import Written
from phasewise_collector.otlp.spans import Event

_REQUEST = ("input.value", "mlflow.spanInputs")
_RESPONSE = ("output.value", "mlflow.spanOutputs")
"""attributes that hold what was sent and answered as it was"""

Reading = Callable[[Attributes, Sequence[Event]], Iterator[Message | Written]]
"""gives messages; those that another call had sent, too, as they were written then"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call's content; empty where the span has none."""

    tools: tuple[Written, ...] = ()
    prompt: tuple[Written, ...] = ()
    raw: str | None = None
    """a completion's prompt: one text, no messages"""
    answer: tuple[Written, ...] = ()
    fidelity: Fidelity = "none"
    """of the prompt"""


def exchange(attributes: Attributes, events: Sequence[Event]) -> Exchange:
    """Return the content of an LLM span."""
    answer, _ = _best(ANSWERS, attributes, events)
    raw = _raw_prompt(attributes)
    if raw is not None:
        return Exchange(raw=raw, answer=answer, fidelity="verbatim")
    prompt, fidelity = _best(PROMPTS, attributes, events)
    return Exchange(tuple(map(written.tool, _tools(attributes))), prompt, None, answer, fidelity)


def _first(attributes: Attributes, names: Sequence[str]) -> object:
    return next((found for name in names if (found := attributes.get(name)) is not None), None)


def _raw_prompt(attributes: Attributes) -> str | None:
    """Return the prompt of a completion API: `{"prompt": "…"}`, or an attribute with the text."""
    request = _first(attributes, _REQUEST)
    if isinstance(request, str) and request.startswith('{"prompt"'):
        sent = mapping(request).get("prompt")
        return sent if isinstance(sent, str) else None
    if attributes.get("gen_ai.operation.name") != "text_completion":
        return None
    if isinstance(request, str) and "prompt" in (body := mapping(request)):
        return body["prompt"] if isinstance(body["prompt"], str) else None
    sent = attributes.get("gen_ai.prompt", attributes.get("gen_ai.prompt.0.content", request))
    return sent if isinstance(sent, str) else None


def _best(
    readings: Sequence[tuple[Fidelity, Reading]], attributes: Attributes, events: Sequence[Event]
) -> tuple[tuple[Written, ...], Fidelity]:
    for fidelity, read in readings:
        found = tuple(read(attributes, events))
        if found:
            return tuple(
                one if isinstance(one, Written) else written.message(one) for one in found
            ), fidelity
    return (), "none"


def _requested(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message | Written]:
    del events
    read = _REQUESTS.read(_first(attributes, _REQUEST))
    if read is None:
        yield from _request_messages(parsed(_first(attributes, _REQUEST)))
    else:
        yield from _request_messages(read.document, read.messages)


def _request(attributes: Attributes) -> Mapping[str, object]:
    """Return the request itself, HERE in the place of a long history."""
    read = _REQUESTS.read(_first(attributes, _REQUEST))
    found = parsed(_first(attributes, _REQUEST)) if read is None else read.document
    return found if isinstance(found, dict) else {}


def _google(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
    """Read Google's request: a system instruction, and contents with parts."""
    del events
    for request in (mapping(attributes.get("gcp.vertex.agent.llm_request")), _request(attributes)):
        if "contents" not in request:
            continue
        instruction = _google_field(request, "system_instruction", "systemInstruction")
        if instruction:
            parts = instruction.get("parts") if isinstance(instruction, Mapping) else None
            yield {"role": "system", "content": parts or instruction}
        contents = request["contents"]
        if isinstance(contents, str):
            yield {"role": "user", "content": contents}
        for content in contents if isinstance(contents, list) else ():
            if isinstance(content, dict):
                parts = content.get("parts")
                yield {"role": content.get("role") or "user", "content": parts}
        return


def _google_field(request: Mapping[str, object], *names: str) -> object:
    """Return a field of Google's request; SDKs put it under `config`, the API uses camel case."""
    config = request.get("config")
    for holder in (request, config if isinstance(config, Mapping) else {}):
        for name in names:
            if holder.get(name):
                return holder[name]
    return None


def _google_answer(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
    del events
    for name in ("gcp.vertex.agent.llm_response", *_RESPONSE):
        response = mapping(attributes.get(name))
        candidates = response.get("candidates")
        content = response.get("content")
        if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
            content = candidates[0].get("content")
        if isinstance(content, Mapping) and "parts" in content:
            yield {"role": "assistant", "content": content["parts"]}
            return


def _listed(*names: str) -> Reading:
    """Read attributes that hold a request, or a list of messages, as JSON or structured."""

    def read(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message | Written]:
        del events
        for name in names:
            found = parsed(attributes.get(name))
            if isinstance(found, str) and found:
                yield {"role": "user", "content": found}
                return
            messages = list(_request_messages(found))
            if messages:
                yield from messages
                return

    return read


def _listed_answer(*names: str) -> Reading:
    def read(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
        del events
        for name in names:
            found = parsed(attributes.get(name))
            if isinstance(found, str) and found:
                yield {"role": "assistant", "content": found}
                return
            if isinstance(found, Mapping):
                messages = list(_response_messages(found))
                if not messages and "content" in found:
                    messages = [{"role": "assistant", "content": found["content"]}]
                if messages:
                    yield from messages
                    return

    return read


def _vercel_answer(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
    del events
    text = attributes.get("ai.response.text", attributes.get("ai.response.object"))
    calls = parsed(attributes.get("ai.response.toolCalls"))
    if text is None and not calls:
        return
    message: Message = {"role": "assistant", "content": text or ""}
    if isinstance(calls, list):
        message["tool_calls"] = [
            tool_call(
                call.get("toolCallId"),
                call.get("toolName"),
                call.get("input", call.get("args")),
            )
            for call in calls
            if isinstance(call, dict)
        ]
    yield message


def _answered(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
    del events
    yield from _response_messages(mapping(_first(attributes, _RESPONSE)))


def _request_messages(
    request: object, known: Sequence[Written] | None = None
) -> Iterator[Message | Written]:
    """Read a request of OpenAI's chat or responses API, of Anthropic's messages API, or its list.

    `known` are the messages of a list that was read already. LangChain's own message objects are
    not taken: they are no request that could be sent again.
    """
    sent = request
    if isinstance(request, Mapping):
        for key in ("system", "instructions"):
            if request.get(key):
                yield {"role": "system", "content": request[key]}
        sent = request.get("messages", request.get("input", request.get("prompt")))
    if known is not None and sent == HERE:
        yield from known
    elif isinstance(sent, str) and isinstance(request, Mapping):
        yield {"role": "user", "content": sent}
    elif isinstance(sent, list):
        yield from (one for message in sent for one in _sent(message))


def _sent(message: object) -> Iterator[Message]:
    """Read an entry of a request's list."""
    if isinstance(message, dict) and "lc" not in message:
        yield message if "role" in message else _item(message)


def _item(item: Message) -> Message:
    """Return an item of the responses API that is no message the role of who wrote it."""
    kind = str(item.get("type", ""))
    if kind.endswith("_output"):
        return {"role": "tool", "content": [item]}
    made = kind == "reasoning" or kind.endswith("_call")
    return {"role": "assistant" if made else "user", "content": [item]}


def _response_messages(response: Mapping[str, object]) -> Iterator[Message]:
    choices = response.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            message = choice.get("message") if isinstance(choice, dict) else None
            if isinstance(message, dict):
                yield {key: value for key, value in message.items() if value is not None}
    elif response.get("role") == "assistant" and "content" in response:
        yield {"role": "assistant", "content": response["content"]}
    elif isinstance(response.get("output"), list):
        yield {"role": "assistant", "content": response["output"]}
    else:
        converse = mapping(mapping(response.get("output")).get("message"))
        if "content" in converse:
            yield dict(converse)


def _otel_prompt(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message | Written]:
    del events
    return typed_parts.prompt(attributes)


def _flat(prefix: str) -> Reading:
    def read(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
        del events
        return flattened.messages(attributes, prefix)

    return read


_EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")


def _asked(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
    """Read the events of OpenTelemetry before 1.37, of the span or in Pydantic AI's `events`."""
    for name, fields in _all_events(attributes, events):
        content = fields.get("content", fields.get("gen_ai.event.content"))
        if found := _EVENT.fullmatch(name):
            message: Message = {"role": found[1], "content": content}
            for key in ("tool_calls", "id"):
                if fields.get(key):
                    message["tool_call_id" if key == "id" else key] = fields[key]
            yield message
        elif name == "gen_ai.content.prompt":
            yield {"role": "user", "content": fields.get("gen_ai.prompt", content)}


def _chosen(attributes: Attributes, events: Sequence[Event]) -> Iterator[Message]:
    for name, fields in _all_events(attributes, events):
        content = fields.get("content", fields.get("gen_ai.event.content"))
        if name == "gen_ai.choice":
            message = parsed(fields.get("message"))
            body = message if isinstance(message, dict) else {"content": content}
            yield {"role": "assistant"} | body
        elif name == "gen_ai.content.completion":
            yield {"role": "assistant", "content": fields.get("gen_ai.completion", content)}


def _all_events(
    attributes: Attributes, events: Sequence[Event]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    for event in events:
        yield event.name, event.attributes
    written = parsed(attributes.get("events"))
    for one in written if isinstance(written, list) else ():
        if isinstance(one, dict):
            yield str(one.get("event.name", "")), one


_REQUESTS = Histories(_sent, "messages", "input")
_OTEL_ANSWER = "gen_ai.output.messages"

PROMPTS: Sequence[tuple[Fidelity, Reading]] = (
    ("verbatim", _requested),
    ("verbatim", _google),
    ("messages", _otel_prompt),
    ("messages", _listed("ai.prompt.messages", "ai.prompt")),
    ("messages", _listed("langfuse.observation.input")),
    ("flattened", _flat("llm.input_messages")),
    ("flattened", _flat("gen_ai.prompt")),
    ("messages", _listed("gen_ai.prompt")),
    ("events", _asked),
    ("flattened", _listed("traceloop.entity.input")),
)
"""how a prompt is read, and how exact that reading is; the first that finds one is taken"""
ANSWERS: Sequence[tuple[Fidelity, Reading]] = (
    ("verbatim", _answered),
    ("verbatim", _google_answer),
    ("messages", lambda attributes, _: typed_parts.messages(attributes.get(_OTEL_ANSWER))),
    ("messages", _vercel_answer),
    ("messages", _listed_answer("langfuse.observation.output")),
    ("flattened", _flat("llm.output_messages")),
    ("flattened", _flat("gen_ai.completion")),
    ("messages", _listed_answer("gen_ai.completion", "gen_ai.output.text")),
    ("events", _chosen),
    ("flattened", _listed_answer(*_RESPONSE, "traceloop.entity.output")),
)


def _tools(attributes: Attributes) -> Iterator[object]:
    request = _request(attributes)
    google = mapping(attributes.get("gcp.vertex.agent.llm_request"))
    for sent in (
        _google_field(request, "tools"),
        _google_field(google, "tools"),
        mapping(request.get("toolConfig")).get("tools"),
        parsed(attributes.get("gen_ai.tool.definitions")),
        parsed(attributes.get("ai.prompt.tools")),
        mapping(attributes.get("model_request_parameters")).get("function_tools"),
    ):
        if isinstance(sent, list) and sent:
            for tool in map(parsed, sent):
                yield from _declared(tool)
            return
    yield from flattened.tools(attributes)


def _declared(tool: object) -> Iterator[object]:
    """Return the functions that one tool of Google's declares; any other tool as it is."""
    rest = dict(tool) if isinstance(tool, dict) else {}
    for name in ("functionDeclarations", "function_declarations"):
        functions = rest.pop(name, None)
        if isinstance(functions, list):
            yield from functions
            tool = rest or None
    if tool is not None:
        yield tool

"""Read what a span says was sent and answered, as the messages and tools of a chat API.

Best first: the request itself (OpenInference's `input.value`), OpenTelemetry's message attributes,
OpenInference's flattened ones, the flattened ones of old OpenTelemetry, span events.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.otlp.spans import Event

Message = dict[str, object]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call's content; empty where the span has none."""

    tools: tuple[object, ...] = ()
    prompt: tuple[Message, ...] = ()
    answer: tuple[Message, ...] = ()


def exchange(attributes: Attributes, events: Sequence[Event]) -> Exchange:
    """Give the content of an LLM span."""
    request = _object(attributes.get("input.value"))
    response = _object(attributes.get("output.value"))
    prompt = (
        tuple(_request_messages(request))
        or tuple(_otel_prompt(attributes))
        or tuple(_flattened(attributes, "llm.input_messages"))
        or tuple(_flattened(attributes, "gen_ai.prompt"))
        or tuple(_events(events, prompt=True))
    )
    answer = (
        tuple(_response_messages(response))
        or tuple(_parts(attributes.get("gen_ai.output.messages")))
        or tuple(_flattened(attributes, "llm.output_messages"))
        or tuple(_flattened(attributes, "gen_ai.completion"))
        or tuple(_events(events, prompt=False))
    )
    return Exchange(tuple(_tools(attributes, request)), prompt, answer)


def _request_messages(request: Mapping[str, object]) -> Iterator[Message]:
    """Read a request of OpenAI's chat or responses API, or of Anthropic's messages API."""
    for key in ("system", "instructions"):
        if request.get(key):
            yield {"role": "system", "content": request[key]}
    sent = request.get("messages", request.get("input"))
    if isinstance(sent, str):
        yield {"role": "user", "content": sent}
    if isinstance(sent, list):
        for message in sent:
            if isinstance(message, dict):
                yield message if "role" in message else {"role": "user", "content": [message]}


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


def _otel_prompt(attributes: Attributes) -> Iterator[Message]:
    instructions = _json(attributes.get("gen_ai.system_instructions"))
    if isinstance(instructions, list) and instructions:
        yield {"role": "system", "content": _text_of(instructions)}
    elif isinstance(instructions, str):
        yield {"role": "system", "content": instructions}
    yield from _parts(attributes.get("gen_ai.input.messages"))


def _parts(value: object) -> Iterator[Message]:
    """Read OpenTelemetry's messages: a role and typed parts each."""
    messages = _json(value)
    if not isinstance(messages, list):
        return
    for message in messages:
        if not isinstance(message, dict):
            continue
        parts = [part for part in message.get("parts") or [] if isinstance(part, dict)]
        results = [part for part in parts if part.get("type") == "tool_call_response"]
        for part in results:
            answer = part.get("response", part.get("result"))
            yield {"role": "tool", "tool_call_id": part.get("id"), "content": _plain(answer)}
        if results and len(results) == len(parts):
            continue
        made: Message = {"role": message.get("role", "user"), "content": _text_of(parts)}
        if "content" in message and not parts:
            made["content"] = message["content"]
        calls = [part for part in parts if part.get("type") == "tool_call"]
        if calls:
            made["tool_calls"] = [
                _tool_call(call.get("id"), call.get("name"), call.get("arguments"))
                for call in calls
            ]
        yield made


def _text_of(parts: Sequence[object]) -> str:
    return "".join(
        str(part.get("content", ""))
        for part in parts
        if isinstance(part, dict) and part.get("type") in ("text", None)
    )


def _tool_call(call_id: object, name: object, arguments: object) -> Message:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": _plain(arguments)},
    }


_PLACE = re.compile(r"\.(\d+)\.(?:message\.)?(.+)")
_CALL_PART = re.compile(
    r"(?:message\.)?tool_calls\.(\d+)\.(?:tool_call\.)?(?:function\.)?(id|name|arguments)"
)
_CONTENT_PART = re.compile(r"contents\.(\d+)\.message_content\.text")


def _flattened(attributes: Attributes, prefix: str) -> Iterator[Message]:
    """Put `PREFIX.N.role`, `.content`, `.tool_calls.M.…` back together."""
    fields: dict[int, dict[str, object]] = {}
    for key, value in attributes.items():
        if key.startswith(prefix) and (found := _PLACE.fullmatch(key[len(prefix) :])):
            fields.setdefault(int(found[1]), {})[found[2]] = value
    for place in sorted(fields):
        yield _unflattened(fields[place])


def _unflattened(fields: Mapping[str, object]) -> Message:
    message: Message = {"role": fields.get("role", "user"), "content": fields.get("content")}
    texts = {
        int(found[1]): str(value)
        for key, value in fields.items()
        if (found := _CONTENT_PART.fullmatch(key))
    }
    if message["content"] is None and texts:
        message["content"] = "".join(texts[place] for place in sorted(texts))
    calls: dict[int, dict[str, object]] = {}
    for key, value in fields.items():
        if found := _CALL_PART.fullmatch(key):
            calls.setdefault(int(found[1]), {})[found[2]] = value
    if calls:
        message["tool_calls"] = [
            _tool_call(call.get("id"), call.get("name"), call.get("arguments"))
            for _, call in sorted(calls.items())
        ]
    if fields.get("tool_call_id") is not None:
        message["tool_call_id"] = fields["tool_call_id"]
    return message


_EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")


def _events(events: Sequence[Event], *, prompt: bool) -> Iterator[Message]:
    """Read the events of OpenTelemetry before 1.37."""
    for event in events:
        content = event.attributes.get("content", event.attributes.get("gen_ai.event.content"))
        if prompt and (found := _EVENT.fullmatch(event.name)):
            yield {"role": found[1], "content": content}
        elif prompt and event.name == "gen_ai.content.prompt":
            yield {"role": "user", "content": event.attributes.get("gen_ai.prompt", content)}
        elif not prompt and event.name == "gen_ai.choice":
            message = _json(event.attributes.get("message"))
            body = message if isinstance(message, dict) else {"content": content}
            yield {"role": "assistant"} | body
        elif not prompt and event.name == "gen_ai.content.completion":
            answered = event.attributes.get("gen_ai.completion", content)
            yield {"role": "assistant", "content": answered}


def _tools(attributes: Attributes, request: Mapping[str, object]) -> Iterator[object]:
    sent = request.get("tools")
    if not isinstance(sent, list):
        sent = _json(attributes.get("gen_ai.tool.definitions"))
    if isinstance(sent, list):
        yield from sent
        return
    schemas = {
        int(found[1]): value
        for key, value in attributes.items()
        if (found := re.fullmatch(r"llm\.tools\.(\d+)\.tool\.json_schema", key))
    }
    yield from (_json(schemas[place]) for place in sorted(schemas))


def _json(value: object) -> object:
    """Parse JSON in a text; anything else stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _object(value: object) -> Mapping[str, object]:
    found = _json(value)
    return found if isinstance(found, dict) else {}


def _plain(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()

"""What a span may contain when it leaves the program: its content, hashes of it, or neither.

A hash is keyed with a secret of the user and chained: the digest of each part covers all parts
before it. Equal prefixes have equal digests, a change anywhere changes all later digests, and no
text can be guessed from them. A prompt mostly repeats the previous one, so equal parts are compared
instead of hashed again.
"""

import hashlib
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PROMPT = "phasewise.prompt.hashes"
ANSWER = "phasewise.answer.hashes"
DIGEST_BYTES = 16
REMEMBERED = 64
"""prompts of which the parts' digests are kept"""
BYTES_A_TOKEN = 4
"""a rough estimate, as the text does not leave; the provider's own count comes with the span"""
_KEY_BYTES = 32

TEXT = (
    "input.value",
    "output.value",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.tools.",
    "llm.request.functions.",
    "llm.prompt_template.",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.prompt.variable.",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "ai.prompt",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "ai.response.reasoning",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "tool.parameters",
    "tool.description",
    "tool_arguments",
    "tool_response",
    "tool_call.function.arguments",
    "retrieval.documents.",
    "reranker.",
    "embedding.embeddings.",
    "model_request_parameters",
    "all_messages_events",
    "pydantic_ai.all_messages",
    "final_result",
    "logfire.",
    "events",
    "message",
    "exception.message",
    "exception.stacktrace",
    "gcp.vertex.agent.",
    "crewai.",
    "crew_",
    "task_",
    "metadata",
)
"""attributes, or beginnings of their names, that may hold text of prompts, answers and tools"""

Filter = Callable[[Mapping[str, object]], Mapping[str, object]]
Part = tuple[str, str, str]
"""kind, role, text"""


def without_text(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes that hold no content."""
    return {name: value for name, value in attributes.items() if not name.startswith(TEXT)}


def secret(folder: Path, given: str | None) -> bytes:
    """Return the key: the one given, else this user's own, made at first use."""
    if given:
        return hashlib.blake2b(given.encode(), digest_size=_KEY_BYTES).digest()
    path = folder / "hash.key"
    try:
        return path.read_bytes()
    except OSError:
        pass
    made = secrets.token_bytes(_KEY_BYTES)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(made)
    except FileExistsError:
        return path.read_bytes()
    except OSError:
        pass  # nowhere to keep it: prefixes are found within this run only
    return made


class Hasher:
    """Turns the content of spans into digests; used from one thread."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: OrderedDict[str, tuple[list[Part], list[bytes]]] = OrderedDict()

    def attributes(self, span_attributes: Mapping[str, object]) -> dict[str, object]:
        """Return a span's attributes with digests in the place of its text."""
        made = without_text(span_attributes)
        prompt = list(prompt_parts(span_attributes))
        answer = list(answer_parts(span_attributes))
        if prompt:
            made[PROMPT] = self._lines(prompt)
        if answer:
            made[ANSWER] = "\n".join(_line(part, self._digest(b"", part)) for part in answer)
        return made

    def _lines(self, parts: list[Part]) -> str:
        stream = "\x1f".join(parts[0])
        before, digests = self._known.get(stream, ([], []))
        shared = 0
        for old, new in zip(before, parts, strict=False):
            if old != new:
                break
            shared += 1
        chain = digests[:shared]
        for part in parts[shared:]:
            chain.append(self._digest(chain[-1] if chain else b"", part))
        self._known[stream] = parts, chain
        self._known.move_to_end(stream)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return "\n".join(_line(part, digest) for part, digest in zip(parts, chain, strict=True))

    def _digest(self, above: bytes, part: Part) -> bytes:
        state = hashlib.blake2b(above, digest_size=DIGEST_BYTES, key=self._key)
        state.update("\x1f".join(part).encode("utf-8", "surrogatepass"))
        return state.digest()


def _line(part: Part, digest: bytes) -> str:
    kind, role, text = part
    size = len(text)
    return f"{kind} {role or '-'} {digest.hex()} {size} {max(1, size // BYTES_A_TOKEN)}"


def prompt_parts(attributes: Mapping[str, object]) -> Iterator[Part]:
    """Return tools, system and messages of a prompt, from whichever convention holds them."""
    request = _object(attributes.get("input.value"))
    yield from (("tool", "", _text(tool)) for tool in _tools(request, attributes))
    for name in ("system", "instructions", "systemInstruction", "system_instruction"):
        if request.get(name):
            yield "system", "system", _text(request[name])
    sent = next((request[name] for name in _SENT if name in request), None)
    messages = [{"role": "user", "content": sent}] if isinstance(sent, str) else _list(sent)
    if not messages or isinstance(messages[0], list) or _is_langchain(messages):
        system = _parsed(attributes.get("gen_ai.system_instructions"))
        if system:
            yield "system", "system", _text(system)
        messages = _list(_parsed(attributes.get("gen_ai.input.messages"))) or list(
            _flattened(attributes, "llm.input_messages.")
        )
    for message in messages:
        role = str(message.get("role", "user")) if isinstance(message, dict) else "user"
        kind = "system" if role in ("system", "developer") else "message"
        yield kind, role.split(" ")[0], _text(message)


_SENT = ("messages", "input", "contents", "prompt")
"""where a request has its messages: OpenAI's, Anthropic's and Bedrock's, Gemini's, completions"""


def _tools(request: Mapping[str, object], attributes: Mapping[str, object]) -> Iterator[object]:
    """Return each tool that a request declares; Gemini puts its functions into one."""
    config = request.get("toolConfig")
    within = config.get("tools") if isinstance(config, dict) else None
    declared = request.get("tools", within)
    if declared is None:
        declared = _parsed(attributes.get("gen_ai.tool.definitions"))
    for tool in _list(declared):
        functions = _list(tool.get("functionDeclarations")) if isinstance(tool, dict) else []
        yield from functions or [tool]


def answer_parts(attributes: Mapping[str, object]) -> Iterator[Part]:
    """Return the messages of an answer."""
    response = _object(attributes.get("output.value"))
    found: object = next((response[name] for name in _ANSWERED if response.get(name)), None)
    if not found:
        found = _parsed(attributes.get("gen_ai.output.messages")) or list(
            _flattened(attributes, "llm.output_messages.")
        )
    if found:
        yield "message", "assistant", _text(found)


_ANSWERED = ("choices", "output", "content", "candidates")


def _flattened(attributes: Mapping[str, object], prefix: str) -> Iterator[dict[str, object]]:
    fields: dict[int, dict[str, object]] = {}
    for name, value in attributes.items():
        if name.startswith(prefix):
            place, _, rest = name[len(prefix) :].partition(".")
            if place.isdecimal():
                fields.setdefault(int(place), {})[rest.removeprefix("message.")] = value
    yield from (fields[place] for place in sorted(fields))


def _is_langchain(messages: Sequence[object]) -> bool:
    return isinstance(messages[0], dict) and "lc" in messages[0]


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _object(value: object) -> Mapping[str, object]:
    found = _parsed(value)
    return found if isinstance(found, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    text = json.dumps(value, sort_keys=True, default=str)
    if any(f'"{name}"' in text for name in _MARKERS):
        text = json.dumps(_unmarked(value), sort_keys=True, default=str)
    return text


_MARKERS = ("cache_control", "prompt_cache_breakpoint", "cachePoint")
"""cache breakpoints, which agents move with every call; the model does not read them"""
_DATA = ("input", "arguments", "args")
"""what a tool is called with is the program's own"""


def _unmarked(value: object) -> object:
    if isinstance(value, list):
        return [_unmarked(one) for one in value if not _is_marker(one)]
    if isinstance(value, Mapping):
        return {
            name: one if name in _DATA else _unmarked(one)
            for name, one in value.items()
            if name not in _MARKERS
        }
    return value


def _is_marker(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"cachePoint"}


def filtered(hasher: Hasher | None, attributes: Mapping[str, object]) -> Mapping[str, object]:
    """Return what may leave: digests where there is a hasher, else no trace of content."""
    return without_text(attributes) if hasher is None else hasher.attributes(attributes)

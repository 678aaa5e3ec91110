"""Turn the segments of a recorded prompt back into a request: chat, raw text, or token ids.

A segment of kind `text` is a piece of a raw prompt; `tool`, `system` and `message` segments become
the messages and tools of a chat endpoint (`phasewise_analyzer.chat_messages`).
"""

from collections.abc import Sequence
from dataclasses import replace

import orjson
from phasewise_analyzer.chat_messages.normalise import Normaliser
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.facts import Segment

from phasewise_replay.engine import Request

NO_IDS = "this server does not tell which token ids a chat is"


def has_text(prompt: Sequence[Segment]) -> bool:
    """Return whether all of the prompt is known, not only its hashes."""
    return all(segment.content is not None for segment in prompt)


def with_text(request: Request, prompt: Sequence[Segment], normaliser: Normaliser) -> Request:
    """Return the request with the prompt as a chat, or as the text that it was."""
    if any(segment.kind == "text" for segment in prompt):
        raw = b"".join(_content(segment) for segment in prompt)
        return replace(request, prompt=raw.decode("utf-8", "replace"))
    chat = normaliser.prompt(prompt)
    return replace(request, messages=chat.messages, tools=chat.tools)


def answer(
    request: Request,
    prompt: Sequence[Segment],
    output: Sequence[Segment],
    normaliser: Normaliser,
) -> tuple[bytes, ...]:
    """Return what a recorded answer adds to its request: messages, or the text behind raw text.

    Empty where it adds no message of the assistant, as behind a prompt that ends with one.
    """
    if request.prompt is not None and all(segment.kind == "text" for segment in output):
        return (b"".join(map(_content, output)),)
    if request.prompt is not None:
        said = [orjson.loads(message) for message in normaliser.prompt(output).messages]
        return tuple(one["content"].encode() for one in said if isinstance(one["content"], str))
    messages = normaliser.prompt((*prompt, *output)).messages
    known = len(request.messages)
    added = messages[known:] if messages[:known] == request.messages else ()
    return added if added and orjson.loads(added[0])["role"] == "assistant" else ()


def with_ids(request: Request, ids: TokenIds) -> Request:
    """Return the request with a prompt of token ids."""
    return replace(request, prompt_token_ids=ids)


def _content(segment: Segment) -> bytes:
    assert segment.content is not None
    return segment.content

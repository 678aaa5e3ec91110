"""Build the JSON body of a recorded call for an OpenAI-compatible server.  Pure.

Recorded messages and tools are copied byte for byte; they are not decoded and encoded again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from phasewise_replay.client.spliced_prompts import SplicedPrompts
from phasewise_replay.engine import Request


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server understands beyond OpenAI's own fields."""

    forced_length: bool = False
    """`ignore_eos` and `min_tokens`: without them the model may stop early"""
    token_ids: bool = False
    """`return_token_ids`: without them the cache model cannot follow exactly"""
    salt: bool = False
    """`cache_salt`"""
    chats_as_ids: bool = False
    """chats are sent as the token ids from the server's own `/tokenize`: SGLang's streamed chats do
    not report output ids, and drop the tools when `tool_choice` is none"""


PLAIN = Dialect()
VLLM = Dialect(forced_length=True, token_ids=True, salt=True)
SGLANG = Dialect(forced_length=True, token_ids=True, chats_as_ids=True)


def completion(request: Request, model: str, dialect: Dialect) -> tuple[str, bytes]:
    """Return the path and the body that make a server answer the request as a stream."""
    path, parts = completion_parts(request, model, dialect, SplicedPrompts())
    return path, b"".join(parts)


def completion_parts(
    request: Request, model: str, dialect: Dialect, prompts: SplicedPrompts
) -> tuple[str, list[bytes]]:
    """Return the path and the parts of the body, which are not copied together.

    `prompts` has the JSON of the calls before it.
    """
    options: dict[str, object] = {
        "model": model,
        "max_tokens": request.output_tokens,
        "temperature": 0,
        "seed": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if dialect.forced_length and not request.free:
        options |= {"min_tokens": request.output_tokens, "ignore_eos": True}
    if dialect.token_ids and not (request.messages and dialect.chats_as_ids):
        options["return_token_ids"] = True
    if dialect.salt and request.cache_salt is not None:
        options["cache_salt"] = request.cache_salt
    if request.tools:
        # the answer is recorded already: tools are part of the prompt, and not to be parsed
        options["tool_choice"] = "none"
    path = "/v1/chat/completions" if request.messages else "/v1/completions"
    return path, [orjson.dumps(options)[:-1], b",", *_prompt(request, prompts), b"}"]


def tokenization(request: Request, model: str) -> bytes:
    """Return the body that makes vLLM's `/tokenize` say what the prompt is in token ids."""
    prompt = _prompt(request, SplicedPrompts())
    return b"".join([orjson.dumps({"model": model})[:-1], b",", *prompt, b"}"])


def _prompt(request: Request, prompts: SplicedPrompts) -> list[bytes]:
    if not request.messages:
        return [b'"prompt":', prompts.encoded(request)]
    parts = [b'"messages":[', *_separated(request.messages), b"]"]
    if request.tools:
        parts += [b',"tools":[', *_separated(request.tools), b"]"]
    return parts


def _separated(values: Sequence[bytes]) -> list[bytes]:
    parts = [b","] * (2 * len(values) - 1)
    parts[::2] = values
    return parts

"""Build the JSON body of a recorded call for an inference server's endpoint.  Pure.

Recorded messages and tools are copied byte for byte; they are not decoded and encoded again.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import orjson

from phasewise_replay.client.endpoint_forms import PATHS
from phasewise_replay.client.spliced_prompts import SplicedPrompts
from phasewise_replay.engine import Endpoint, Request


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
    forced_endpoints: Set[Endpoint] = frozenset()
    """endpoints for chats on which the output length can be forced"""
    unfree_endpoints: Set[Endpoint] = frozenset()
    """endpoints for chats on which it always is"""
    tool_choice: str = "none"
    """the answer is recorded already: tools are part of the prompt, and not to be parsed.  Where
    `none` takes them out of the prompt, `auto`"""
    responses_headroom: int = 0
    """tokens of `max_output_tokens` that are not generated"""
    omits_zero_cached: bool = False
    """whether messages report no cached tokens where there are none"""


PLAIN = Dialect()
VLLM = Dialect(
    forced_length=True,
    token_ids=True,
    salt=True,
    # its messages have neither `ignore_eos` nor `min_tokens` (0.32, anthropic/protocol)
    forced_endpoints=frozenset({"chat", "responses"}),
)
SGLANG = Dialect(
    forced_length=True,
    token_ids=True,
    chats_as_ids=True,
    forced_endpoints=frozenset({"chat"}),
    tool_choice="auto",
    # it takes them off for BOS and EOS (0.5.23, openai/protocol, ResponsesRequest)
    responses_headroom=2,
)


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
    if request.endpoint == "generate":
        return PATHS["generate"], _generate(request, model, prompts)
    if request.endpoint != "chat":
        return PATHS[request.endpoint], _other_endpoint(request, model, dialect)
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
        options["tool_choice"] = "none"
    path = PATHS["chat" if request.messages else "completions"]
    return path, [orjson.dumps(options)[:-1], b",", *_prompt(request, prompts), b"}"]


def _generate(request: Request, model: str, prompts: SplicedPrompts) -> list[bytes]:
    """Return the parts of the body for vLLM's token-in token-out endpoint.

    Its fields are those of vLLM 0.32 (scale_out/token_in_token_out/protocol.py, GenerateRequest).
    """
    sampling: dict[str, object] = {
        "temperature": 0,
        "seed": 0,
        # 16 if not given, also where more tokens are forced
        "max_tokens": request.output_tokens,
    }
    if request.forced_ids is None:
        sampling |= {"min_tokens": request.output_tokens, "ignore_eos": True}
    else:
        sampling["trace_decode_token_ids"] = request.forced_ids
    options: dict[str, object] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "sampling_params": sampling,
    }
    if request.cache_salt is not None:
        options["cache_salt"] = request.cache_salt
    encoded = orjson.dumps(options, option=orjson.OPT_SERIALIZE_NUMPY)
    return [encoded[:-1], b',"token_ids":', prompts.encoded(request), b"}"]


def _other_endpoint(request: Request, model: str, dialect: Dialect) -> list[bytes]:
    """Return the parts of the body for Anthropic's messages or OpenAI's Responses."""
    is_messages = request.endpoint == "messages"
    options: dict[str, object] = {"model": model, "temperature": 0, "stream": True}
    if is_messages:
        options["max_tokens"] = request.output_tokens
    else:
        options["max_output_tokens"] = request.output_tokens + dialect.responses_headroom
        options["store"] = False
        if dialect.forced_length and not request.free:
            options["ignore_eos"] = True
    if dialect.salt and request.cache_salt is not None:
        options["cache_salt"] = request.cache_salt
    if request.tools:
        choice = dialect.tool_choice
        options["tool_choice"] = {"type": choice} if is_messages else choice
    parts = [orjson.dumps(options)[:-1]]
    if request.system is not None:
        parts += [b',"system":' if is_messages else b',"instructions":', request.system]
    parts += [b',"messages":[' if is_messages else b',"input":[', *_separated(request.messages)]
    parts.append(b"]")
    if request.tools:
        parts += [b',"tools":[', *_separated(request.tools), b"]"]
    return [*parts, b"}"]


def tokenization(request: Request, model: str) -> bytes:
    """Return the body that makes vLLM's `/tokenize` say what the prompt is in token ids."""
    return _tokenization(request, {"model": model})


def history_tokenization(request: Request, model: str) -> bytes:
    """Return the body that makes it say what a chat is as history: no answer is to follow."""
    return _tokenization(request, {"model": model, "add_generation_prompt": False})


def text_tokenization(text: str, model: str) -> bytes:
    """Return the body that makes it say what a text is in the middle of another one."""
    return orjson.dumps({"model": model, "prompt": text, "add_special_tokens": False})


def _tokenization(request: Request, options: Mapping[str, object]) -> bytes:
    prompt = _prompt(request, SplicedPrompts())
    return b"".join([orjson.dumps(options)[:-1], b",", *prompt, b"}"])


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

"""Recognise a model call by its bodies, whichever address, library or framework it uses.

The request shows which API it uses, and the response confirms it. Without a response, or with an
error, the end of the path must match as well, since other endpoints (counting tokens, moderation)
take similar requests.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote

Body = Mapping[str, object]
Api = Literal[
    "openai.chat",
    "openai.completions",
    "openai.responses",
    "openai.embeddings",
    "anthropic.messages",
    "google.generate_content",
    "google.embed_content",
    "bedrock.converse",
]
OPERATIONS: Mapping[Api, str] = {
    "openai.chat": "chat",
    "openai.completions": "text_completion",
    "openai.responses": "chat",
    "openai.embeddings": "embeddings",
    "anthropic.messages": "chat",
    "google.generate_content": "generate_content",
    "google.embed_content": "embeddings",
    "bedrock.converse": "chat",
}
"""`gen_ai.operation.name`"""

_MARKS = (b'"messages"', b'"contents"', b'"input"', b'"prompt"', b'"content"', b'"requests"')
_ENDINGS = re.compile(
    r"(/chat/completions|/completions|/responses|/messages|/converse|/converse-stream|/embeddings"
    r"|:(stream)?[gG]enerateContent|:(batch)?[eE]mbedContents?|:(stream)?[rR]awPredict"
    r"|/invoke|/invoke-with-response-stream)$"
)
_OTHERS = re.compile(
    r"(count_?tokens|tokenize|moderations|rerank|score|batches|input_tokens)$", re.I
)
_MODEL_IN_PATH = re.compile(r"/(?:models?|deployments|tunedModels)/([^/]+?)(?::[a-zA-Z]+)?(?=/|$)")
"""Gemini puts a method behind the name and a colon, Bedrock a version"""


def may_be_call(body: bytes) -> bool:
    """Say by a search of its bytes whether a request can be a model call."""
    return any(mark in body for mark in _MARKS)


def api_of(path: str, request: Body) -> Api | None:
    """Return the API that a request speaks; None where it is no model call."""
    if _OTHERS.search(path):
        return None
    if "mbedContent" in path:
        return "google.embed_content"
    if isinstance(request.get("contents"), list | str) and "messages" not in request:
        return "google.generate_content"
    named = isinstance(request.get("model"), str) or _MODEL_IN_PATH.search(path) is not None
    if not named and "anthropic_version" not in request:
        return None
    return (
        _chat(path, request) if isinstance(request.get("messages"), list) else _text(path, request)
    )


def _chat(path: str, request: Body) -> Api:
    if "/converse" in path or "inferenceConfig" in request or "toolConfig" in request:
        return "bedrock.converse"
    if path.endswith("/messages") or "anthropic_version" in request:
        return "anthropic.messages"
    if path.endswith("/chat/completions"):
        return "openai.chat"
    # both have `messages`; only Anthropic's has its system prompt beside them
    return "anthropic.messages" if "system" in request else "openai.chat"


def _text(path: str, request: Body) -> Api | None:
    if path.endswith("/embeddings"):
        return "openai.embeddings"
    if isinstance(request.get("input"), list | str):
        return "openai.responses"
    return "openai.completions" if isinstance(request.get("prompt"), list | str) else None


def _has_embeddings(answer: Body) -> bool:
    data = answer.get("data")
    return isinstance(data, list) and all(isinstance(x, Mapping) and "embedding" in x for x in data)


_ANSWERS: Sequence[tuple[Api, Callable[[Body], bool]]] = (
    ("anthropic.messages", lambda body: body.get("type") == "message" and "content" in body),
    ("openai.responses", lambda body: isinstance(body.get("output"), list)),
    ("openai.chat", lambda body: isinstance(body.get("choices"), list)),
    ("google.generate_content", lambda body: "candidates" in body or "promptFeedback" in body),
    ("bedrock.converse", lambda body: isinstance(body.get("output"), Mapping)),
    ("google.embed_content", lambda body: "embeddings" in body or "embedding" in body),
    ("openai.embeddings", _has_embeddings),
)


def confirmed(api: Api, answer: Body) -> Api | None:
    """Return the API once the answer is known; None where the answer is no model's."""
    found = next((one for one, fits in _ANSWERS if fits(answer)), None)
    return api if found == "openai.chat" and api == "openai.completions" else found


def has_known_path(path: str) -> bool:
    """Return whether the path alone names an endpoint of models."""
    return _ENDINGS.search(path) is not None


def model_in(path: str) -> str | None:
    """Return the model of an address that names it: Gemini's, Bedrock's, Azure's."""
    found = _MODEL_IN_PATH.search(path)
    return unquote(found[1]) if found else None


def is_streamed(path: str, request: Body) -> bool:
    """Return whether the request asks for a stream."""
    named = path.endswith(("/converse-stream", "/invoke-with-response-stream"))
    return request.get("stream") is True or named or ":stream" in path

"""Read the server-sent events of a streamed completion.  Pure.

Token counts come from the server's `usage`: a chunk may contain many tokens, or none.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import orjson
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.engine import Answer

# https://html.spec.whatwg.org/multipage/server-sent-events.html
_END_OF_EVENT = b"\n\n"
_DATA = b"data:"
DONE = b"[DONE]"
HTTP_ERROR = "HTTP "
"""begins the error of a request that a server has refused"""
_OUTPUT = (
    *("content", "text", "reasoning", "reasoning_content", "reasoning_details", "thinking"),
    *("tool_calls", "function_call", "refusal", "audio"),
)
"""fields of a delta that contain generated output, in the responses of all servers"""
_TEXT = ("reasoning", "reasoning_content", "content", "text")
"""those that are text, in the order in which they are written"""


def events(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Cut a byte stream into the data of its events, with the clock at the end of each."""
    rest = b""
    for at, piece in pieces:
        *whole, rest = (rest + piece).replace(b"\r\n", b"\n").split(_END_OF_EVENT)
        for event in whole:
            if event.startswith(_DATA):
                yield at, event[len(_DATA) :].strip()


def has_content(event: bytes) -> bool:
    """Return whether an event has output: text, reasoning, a part of a tool call, ids, the end."""
    if event == DONE:
        return False
    for choice in orjson.loads(event).get("choices") or []:
        delta = choice.get("delta") or choice
        if any(delta.get(name) for name in _OUTPUT):
            return True
        if choice.get("token_ids") or choice.get("finish_reason"):
            return True
    return False


def answer(
    received: Sequence[bytes],
    *,
    sent_ns: int,
    ttft_ns: int | None,
    duration_ns: int,
    error: str | None,
) -> Answer:
    """Put the events of one answer together with the client's times."""
    usage: dict[str, object] = {}
    metrics: dict[str, object] = {}
    prompt_ids: list[int] | None = None
    output_ids: list[int] | None = None
    response_id: object = None
    for event in received:
        if event == DONE:
            continue
        chunk = orjson.loads(event)
        if failure := chunk.get("error"):
            error = error or str(failure.get("message", failure))
        response_id = chunk.get("id") or response_id
        usage = chunk.get("usage") or usage
        metrics = chunk.get("metrics") or metrics
        prompt_ids = chunk.get("prompt_token_ids") or prompt_ids
        for choice in chunk.get("choices") or []:
            prompt_ids = choice.get("prompt_token_ids") or prompt_ids
            if (ids := choice.get("token_ids")) is not None:
                output_ids = (output_ids or []) + ids
    if error is None and DONE not in received[-1:]:
        error = "the stream ended before the response was complete"
    details = usage.get("prompt_tokens_details")
    return Answer(
        sent_ns=sent_ns,
        duration_ns=duration_ns,
        ttft_ns=ttft_ns,
        queue_ns=_ns(metrics.get("queue_time_ms")),
        # vLLM's name is misleading: from scheduled to first token, so the prefill only
        prefill_ns=_ns(metrics.get("time_to_first_token_ms")),
        decode_ns=_ns(metrics.get("generation_time_ms")),
        input_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
        output_tokens=_count(usage.get("completion_tokens")),
        prompt_token_ids=_ids(prompt_ids),
        output_token_ids=_ids(output_ids),
        response_id=response_id if isinstance(response_id, str) else None,
        error=error,
    )


def output(received: Sequence[bytes]) -> str:
    """Return what was written, as JSON: the text, and each tool call's name and arguments."""
    text: list[str] = []
    calls: dict[int, list[str]] = {}
    for event in received:
        for choice in () if event == DONE else orjson.loads(event).get("choices") or []:
            delta = choice.get("delta") or choice
            text += [part for name in _TEXT if isinstance(part := delta.get(name), str)]
            for call in delta.get("tool_calls") or []:
                function = call.get("function") or {}
                known = calls.setdefault(call.get("index", len(calls)), ["", ""])
                known[0] += function.get("name") or ""
                known[1] += function.get("arguments") or ""
    written = {"text": "".join(text), "tool_calls": [calls[place] for place in sorted(calls)]}
    return orjson.dumps(written).decode()


def refusal(status: int, body: bytes) -> str:
    """Return a server's error message in one line."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = body.decode("utf-8", "replace")
    if isinstance(found, dict):
        reason = found.get("error", found)
        found = reason.get("message", reason) if isinstance(reason, dict) else reason
    return f"{HTTP_ERROR}{status}: {str(found)[:500]}"


def _ns(milliseconds: object) -> int | None:
    return round(milliseconds * 1e6) if isinstance(milliseconds, int | float) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _ids(values: list[int] | None) -> TokenIds | None:
    return None if values is None else np.array(values, dtype=np.int64)

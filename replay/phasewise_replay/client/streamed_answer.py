"""Read the server-sent events of a streamed answer, of any endpoint.  Pure.

Token counts come from the server's `usage`: a chunk may contain many tokens, or none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import orjson
from phasewise_analyzer.engine.caches.token_ids import TokenIds

from phasewise_replay.client import stream_events
from phasewise_replay.client.stream_events import StreamReader
from phasewise_replay.engine import Answer

# https://html.spec.whatwg.org/multipage/server-sent-events.html
_END_OF_EVENT = b"\n\n"
_DATA = b"data:"
HTTP_ERROR = "HTTP "
"""begins the error of a request that a server has refused"""


def events(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Cut a byte stream into the data of its events, with the clock at the end of each."""
    rest = b""
    for at, piece in pieces:
        *whole, rest = (rest + piece).replace(b"\r\n", b"\n").split(_END_OF_EVENT)
        for event in whole:
            if b"\n" not in event:
                if event.startswith(_DATA):
                    yield at, event[len(_DATA) :].strip()
                continue
            lines = event.split(b"\n")
            data = [line[len(_DATA) :].strip() for line in lines if line.startswith(_DATA)]
            if data:
                yield at, b"\n".join(data)


def has_content(event: bytes) -> bool:
    """Return whether an event has output: text, reasoning, a part of a tool call, ids, the end."""
    return stream_events.has_output(event)


def answer(
    received: Sequence[bytes],
    *,
    sent_ns: int,
    ttft_ns: int | None,
    duration_ns: int,
    error: str | None,
) -> Answer:
    """Put the events of one answer together with the client's times."""
    reader = StreamReader()
    for event in received:
        reader.take(event)
    error = error or reader.error
    if error is None and not reader.is_complete:
        error = "the stream ended before the response was complete"
    usage, metrics = reader.usage, reader.metrics
    return Answer(
        sent_ns=sent_ns,
        duration_ns=duration_ns,
        ttft_ns=ttft_ns,
        queue_ns=_ns(metrics.get("queue_time_ms")),
        # vLLM's name is misleading: from scheduled to first token, so the prefill only
        prefill_ns=_ns(metrics.get("time_to_first_token_ms")),
        decode_ns=_ns(metrics.get("generation_time_ms")),
        input_tokens=_input(usage),
        cached_tokens=usage.get("cached"),
        output_tokens=usage.get("output"),
        prompt_token_ids=_ids(reader.prompt_ids),
        output_token_ids=_ids(reader.output_ids),
        response_id=reader.response_id,
        error=error,
    )


def output(received: Sequence[bytes]) -> str:
    """Return what was written, as JSON: the text, and each tool call's name and arguments."""
    reader = StreamReader(keeps_output=True)
    for event in received:
        reader.take(event)
    calls = [reader.calls[place] for place in sorted(reader.calls)]
    return orjson.dumps({"text": "".join(reader.text), "tool_calls": calls}).decode()


def refusal(status: int, body: bytes) -> str:
    """Return a server's error message in one line."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = body.decode("utf-8", "replace")
    if isinstance(found, dict):
        found = found.get("error", found)
    return f"{HTTP_ERROR}{status}: {stream_events.reason(found)[:500]}"


def _input(usage: Mapping[str, int | None]) -> int | None:
    """Return all tokens that were read; Anthropic's count leaves out those of its cache."""
    uncached = usage.get("uncached")
    if uncached is None:
        return usage.get("input")
    return uncached + (usage.get("cached") or 0) + (usage.get("written") or 0)


def _ns(milliseconds: object) -> int | None:
    return round(milliseconds * 1e6) if isinstance(milliseconds, int | float) else None


def _ids(values: list[int] | None) -> TokenIds | None:
    return None if values is None else np.array(values, dtype=np.int64)

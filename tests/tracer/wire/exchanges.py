"""Exchanges for tests: bodies and the moments at which their pieces came."""

import json
from collections.abc import Iterable, Mapping

from opentelemetry.context import Context
from phasewise.wire.exchange import Exchange, Inbox

OPENAI = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def sse(*events: object) -> list[bytes]:
    """Write events as a server does, one piece each."""
    return [
        b"data: " + (one.encode() if isinstance(one, str) else json.dumps(one).encode()) + b"\n\n"
        for one in events
    ]


def exchange(
    url: str,
    request: object,
    pieces: Iterable[bytes],
    *,
    status: int | None = 200,
    headers: Mapping[str, str] | None = None,
    left: bool = False,
    error: BaseException | None = None,
) -> Exchange:
    """Make one whose pieces came a millisecond apart, the first one millisecond after the start."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    made = Exchange(Inbox(), url, body, Context(), start_ns=10**18, began=0)
    if status is not None:
        made.answered(status, headers or {})
    made.chunks = [(10**6 * (place + 1), data) for place, data in enumerate(pieces)]
    made.ended = 10**6 * (len(made.chunks) + 10)
    made.over, made.left, made.error = True, left, error
    return made

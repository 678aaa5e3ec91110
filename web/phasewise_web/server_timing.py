"""Say in each response how long the server took: `Server-Timing`, which browsers show.

`total` is from the request to the response, and depends on what else the machine does. `cpu` is
what making a page took of a processor, its queries included: with one thread, the database runs
them in the thread that asks.
"""

import time
from collections.abc import Callable

from fastapi import Request, Response
from phasewise_collector.hosts import App, Message, Receive, Scope, Send


class Timed:
    """An ASGI application whose responses carry the milliseconds until they began."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_s = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                took_ms = 1e3 * (time.perf_counter() - began_s)
                header = (b"server-timing", f"total;dur={took_ms:.1f}".encode())
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        await self._app(scope, receive, timed)


def metered(make: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Let the responses of a handler, which has a thread of its own, carry its CPU time."""

    def handler(request: Request) -> Response:
        began_s = time.thread_time()
        response = make(request)
        took_ms = 1e3 * (time.thread_time() - began_s)
        response.headers["server-timing"] = f"cpu;dur={took_ms:.1f}"
        return response

    return handler

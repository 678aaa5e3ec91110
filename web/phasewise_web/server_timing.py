"""Say in each response how long the server took: `Server-Timing`, which browsers show."""

import time

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

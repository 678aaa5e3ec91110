"""Added to every response of the pages: security headers, gzip, an ETag.

A page needs nothing from other origins, runs no inline script, and cannot be framed. Widths of bars
are style attributes, which cannot load or run anything.
"""

import hashlib

from phasewise_collector.hosts import App, Message, Receive, Scope, Send

SELF_CONTAINED = "/report.html"
"""a report carries its styles and scripts inside: it is a file to be sent around"""

_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Dressed:
    """An ASGI application whose answers have the headers; HEAD is GET without a body."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await self._app(asked, receive, keep)
        body = b"".join(parts)
        headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        headers = HEADERS | {"content-security-policy": _policy(scope["path"])} | headers
        status = start["status"]
        if status == 200:
            tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
            headers = {"cache-control": "no-cache"} | headers | {"etag": tag}
            if tag.encode() in dict(scope["headers"]).get(b"if-none-match", b""):
                status, body = 304, b""
        headers["content-length"] = str(len(body))
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        sent = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": sent})


def _policy(path: str) -> str:
    return _REPORT_POLICY if path.endswith(SELF_CONTAINED) else _POLICY

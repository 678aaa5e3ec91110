"""Servers of tests: JSON over HTTP on the loopback interface."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JsonHandler(BaseHTTPRequestHandler):
    """Reads and writes bodies of JSON; says nothing."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536
    """head and body go out together: the end of a body otherwise waits for an acknowledgement"""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer as `get` does."""
        self.get()

    def do_POST(self) -> None:
        """Answer as `post` does."""
        length = int(self.headers.get("content-length", 0))
        self.post(json.loads(self.rfile.read(length) or b"{}"))

    def get(self) -> None:
        """Answer a GET."""
        raise NotImplementedError

    def post(self, body: dict[str, Any]) -> None:
        """Answer a POST; the body is empty where there is none."""
        raise NotImplementedError

    def reply(self, status: int, value: object) -> None:
        """Answer with JSON."""
        self.reply_bytes(status, "application/json", json.dumps(value).encode())

    def reply_bytes(self, status: int, kind: str, body: bytes) -> None:
        """Answer with these bytes."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(handler: type[JsonHandler]) -> Iterator[str]:
    """Serve on a free port until the block ends; give the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # how often it looks whether it is to end, in seconds
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

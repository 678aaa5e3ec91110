"""The replay's HTTP client, on a server that closes a connection while it is used."""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence

import pytest
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import PLAIN
from phasewise_store.errors import EngineError

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def serve(listener: socket.socket, connections: Sequence[Sequence[bytes]]) -> OpenAiClient:
    """Answer each request of each connection in turn; reset the connection at the next request."""

    def run() -> None:
        for answers in connections:
            connection, _ = listener.accept()
            for answer in answers:
                connection.recv(65536)
                connection.sendall(answer)
            connection.recv(65536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    threading.Thread(target=run, daemon=True).start()
    return OpenAiClient(f"http://127.0.0.1:{listener.getsockname()[1]}", dialect=PLAIN)


def test_a_connection_that_was_reset_is_followed_by_a_new_one(listener: socket.socket) -> None:
    """As uvicorn does after an error 500, while the next request is on its way."""
    client = serve(listener, [[FAILED], [ANSWER]])
    assert client.json("/fails") is None
    assert client.json("/works") == {"a": 1}
    client.close()


def test_a_server_that_resets_every_connection_is_an_error(listener: socket.socket) -> None:
    """After two attempts, with the address that was asked."""
    client = serve(listener, [[], []])
    with pytest.raises(EngineError, match=r"no response from `http://127.0.0.1:.*/never`"):
        client.json("/never")
    client.close()

"""Carries the requests of a block to an OpenAI-compatible server, through an event loop."""

from collections.abc import Callable
from functools import partial

from phasewise_replay.client import request_body
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.spliced_prompts import SplicedPrompts
from phasewise_replay.client.stream_connection import StreamConnections
from phasewise_replay.client.streamed_response import StreamedResponse, timed_answer
from phasewise_replay.engine import Answer, Received, Request

Adapted = Callable[[Request], Request]
"""changes a request before it is sent"""
Checked = Callable[[Answer], Answer]
"""raises EngineError when an answer shows that the server has died"""


def unchanged(request: Request) -> Request:
    """Send a request as it is."""
    return request


def unchecked(answer: Answer) -> Answer:
    """Take an answer as it is: the server is not ours."""
    return answer


class OpenAiChannel:
    """The requests of one block; connections, model and dialect are the client's."""

    def __init__(
        self, client: OpenAiClient, *, adapted: Adapted = unchanged, checked: Checked = unchecked
    ) -> None:
        self._client = client
        self._adapted = adapted
        self._checked = checked
        self._prompts = SplicedPrompts()
        self._connections = StreamConnections(
            client.base_url, client.headers, timeout_s=client.timeout_s
        )

    async def open(self, connections: int) -> None:
        """Connect to the server."""
        await self._connections.open(connections)

    async def send(self, request: Request) -> Received:
        """Send a request and wait until its response has ended."""
        path, parts = request_body.completion_parts(
            self._adapted(request), self._client.model, self._client.dialect, self._prompts
        )
        response = await self._connections.post(path, parts)
        read = partial(self._read, request, response)
        return Received(response.begin_ns, response.end_ns, read)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _read(self, request: Request, response: StreamedResponse) -> Answer:
        return self._checked(timed_answer(request, response, self._client.dialect).answer)

"""The HTTP client of both real engines for single requests: canary, warm-up, probes, questions.

The calls of a block go through `OpenAiChannel`. The clock is read when bytes arrive. Everything
else waits until the response is complete, so that the client does not slow down what it measures.
"""

import time
from collections.abc import Callable, Mapping

import httpx
import numpy as np
import orjson
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.errors import EngineError

from phasewise_replay.client import request_body
from phasewise_replay.client.request_body import Dialect
from phasewise_replay.client.stream_connection import CONNECT_S, KEEPALIVE_S
from phasewise_replay.client.streamed_response import StreamedResponse, TimedAnswer, timed_answer
from phasewise_replay.engine import Answer, Request

_JSON = {"Content-Type": "application/json"}
_NOT_THERE = (404, 405, 501)
ANTHROPIC_VERSION = "2023-06-01"
"""which Anthropic's own API asks for; https://docs.anthropic.com/en/api/versioning"""


class OpenAiClient:
    """A pool of connections to one server; safe to use from several threads."""

    def __init__(
        self, base_url: str, *, dialect: Dialect, key: str | None = None, timeout_s: float = 600.0
    ) -> None:
        self.dialect = dialect
        self.model = ""
        """as the server names it; set once it has said so"""
        self.base_url = base_url
        self.headers = _authorization(key) if key else {}
        self.timeout_s = timeout_s
        self._http = httpx.Client(
            base_url=base_url,
            headers=self.headers,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEPALIVE_S),
            trust_env=False,  # a proxy between client and server would be measured too
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, request: Request) -> Answer:
        """Stream one request to its end; what goes wrong with it is in the answer's `error`."""
        return self.timed(request).answer

    def timed(self, request: Request, started: Callable[[], object] = int) -> TimedAnswer:
        """Send a request and keep when each event came; `started` is called at the first token."""
        path, body = request_body.completion(request, self.model, self.dialect)
        response = StreamedResponse(time.time_ns(), time.perf_counter_ns())
        begun = False
        try:
            with self._http.stream("POST", path, content=body, headers=_JSON) as stream:
                response.status = stream.status_code
                for piece in stream.iter_bytes():
                    response.pieces.append((time.perf_counter_ns(), piece))
                    if not begun and stream.is_success and response.has_output():
                        begun = True
                        started()
        except httpx.HTTPError as failure:
            response.error = f"{type(failure).__name__}: {failure}"
        response.end_ns = time.perf_counter_ns()
        return timed_answer(request, response, self.dialect)

    def token_ids(self, request: Request) -> TokenIds | None:
        """Ask the server for the prompt in token ids; None where it has no `/tokenize`."""
        if request.prompt_token_ids is not None:
            return request.prompt_token_ids
        return self.tokenized(request_body.tokenization(request, self.model))

    def tokenized(self, body: bytes) -> TokenIds | None:
        """Return what `/tokenize` says of a body; None where the server has none, or refuses."""
        reply = self.post("/tokenize", body)
        tokens = reply.get("tokens") if reply is not None else None
        return np.array(tokens, dtype=np.int64) if isinstance(tokens, list) else None

    def healthy(self) -> bool:
        """Return whether the server answers at `/health`."""
        try:
            return self._http.get("/health", timeout=5.0).is_success
        except httpx.TransportError:
            return False

    def serves(self, path: str) -> bool:
        """Return whether the server has a path to POST to."""
        return self._call("POST", path, b"{}").status_code not in _NOT_THERE

    def text(self, path: str) -> str | None:
        """GET a path; None where the server has no such path."""
        response = self._call("GET", path, b"")
        return response.text if response.is_success else None

    def json(self, path: str) -> Mapping[str, object] | None:
        """GET a JSON object; None where the server has no such path or answers something else."""
        return _object(self._call("GET", path, b""))

    def post(self, path: str, body: bytes = b"") -> Mapping[str, object] | None:
        """POST JSON; None where the server has no such path or refuses."""
        return _object(self._call("POST", path, body))

    def _call(self, method: str, path: str, body: bytes) -> httpx.Response:
        """Request a path that may be asked twice."""
        try:
            try:
                return self._request(method, path, body)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                # uvicorn closes a connection after an error 500, perhaps while it is used again
                return self._request(method, path, body)
        except httpx.TransportError as failure:
            where = self._http.base_url.join(path)
            raise EngineError(f"no response from `{where}`: {failure}") from None

    def _request(self, method: str, path: str, body: bytes) -> httpx.Response:
        return self._http.request(method, path, content=body, headers=_JSON, timeout=60.0)


def _authorization(key: str) -> Mapping[str, str]:
    """Return the headers of OpenAI and of Anthropic that carry a key."""
    named = {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION}
    return {"Authorization": f"Bearer {key}"} | named


def _object(response: httpx.Response) -> Mapping[str, object] | None:
    """Read a reply; an empty or plain-text success is an empty object."""
    if not response.is_success:
        return None
    try:
        found = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}

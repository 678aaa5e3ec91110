"""`UrlEngine`: an OpenAI-compatible server that is already running; never started or stopped."""

import os
from collections.abc import Mapping
from dataclasses import replace

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.errors import EngineError, UnsupportedArmError, UsageError

from phasewise_replay.client.endpoint_forms import TELL_IDS
from phasewise_replay.client.openai_channel import Checked, OpenAiChannel, unchecked
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import PLAIN, VLLM, Dialect
from phasewise_replay.engine import Answer, Endpoint, Load, Request, Resolved
from phasewise_replay.engines import endpoints, server_description
from phasewise_replay.engines.forced_tokens import ServerForcing
from phasewise_replay.engines.load_sampler import LoadSampler
from phasewise_replay.plans.arms import UrlArm

RESETS = ("/reset_prefix_cache", "/flush_cache")
"""vLLM's (in development mode only) and SGLang's"""


class UrlEngine:
    """A server at an address."""

    def __init__(self, arm: UrlArm) -> None:
        self._arm = arm
        self._client: OpenAiClient | None = None
        self._reset_path: str | None = None
        self._load: LoadSampler | None = None
        self._ids: dict[tuple[bytes, ...], TokenIds | None] = {}
        """of chats that go in as ids, by messages and tools"""

    def start(self) -> Resolved:
        """Find out which server it is and how its cache is reset."""
        client = OpenAiClient(self._arm.url, dialect=PLAIN, key=self._key())
        self._client = client
        try:
            resolved = server_description.describe(client, engine="url", model=self._arm.model)
        except EngineError as error:
            raise UnsupportedArmError(f"`{self._arm.url}`: {error}") from None
        client.dialect = _dialect(client, resolved.settings)
        self._reset_path = next((path for path in RESETS if client.post(path) is not None), None)
        if self._reset_path is not None:
            return resolved
        return replace(resolved, resets="salt" if client.dialect.salt else "none")

    def stop(self) -> None:
        """Close the connections; the server stays as it is."""
        if self._client is not None:
            self._client.close()

    def reset(self) -> None:
        """Reset the prefix cache if the server can; otherwise the run salts its requests."""
        if self._reset_path is not None and self._running.post(self._reset_path) is None:
            raise EngineError(f"`{self._arm.url}{self._reset_path}` worked before and now fails")

    def send(self, request: Request) -> Answer:
        """Serve one request."""
        return self._running.send(self._adapted(request))

    def channel(self, *, checked: Checked = unchecked) -> OpenAiChannel:
        """Return a channel to the server; `checked` gets every answer."""
        return OpenAiChannel(self._running, adapted=self._adapted, checked=checked)

    def _adapted(self, request: Request) -> Request:
        """Return the request as the server takes it; `prepare` has asked for the ids of chats."""
        if self._goes_as_ids(request):
            ids = self.token_ids(request)
            if ids is not None:
                return replace(request, messages=(), tools=(), prompt_token_ids=ids)
        return request

    def _goes_as_ids(self, request: Request) -> bool:
        is_chat = bool(request.messages) and request.endpoint == "chat"
        return is_chat and self._running.dialect.chats_as_ids

    def cannot_send(self, endpoint: Endpoint, *, forced: bool) -> str | None:
        """Return why chats cannot go to an endpoint; None where they can."""
        return endpoints.cannot_send(self._running, endpoint, forced=forced)

    def token_ids(self, request: Request) -> TokenIds | None:
        """Return the prompt in token ids, where the server tells its outputs' ids as well."""
        client = self._running
        if not client.dialect.token_ids or request.endpoint not in TELL_IDS:
            return None
        if not self._goes_as_ids(request):
            return client.token_ids(request)
        key = (*request.messages, b"", *request.tools)
        if key not in self._ids:
            self._ids[key] = client.token_ids(request)
        return self._ids[key]

    def token_forcing(self) -> ServerForcing:
        """Return how it is made to generate given tokens."""
        return ServerForcing(self._running)

    def cached_tokens(self) -> int | None:
        """Return the server's own count; other clients' requests are in it."""
        return server_description.cached_tokens(self._running)

    def watch_load(self) -> None:
        """Look at the server's KV cache and preemptions from now on, whoever causes them."""
        self._load = LoadSampler(self._running.base_url, self._running.headers)
        self._load.start()

    def watched_load(self) -> Load | None:
        """Stop looking."""
        return None if self._load is None else self._load.stop()

    def _key(self) -> str | None:
        variable = self._arm.key_variable
        if variable is None:
            return None
        if variable not in os.environ:
            raise UsageError(
                f"arm `{self._arm.name}` reads its API key from {variable}, which is not set"
            )
        return os.environ[variable]

    @property
    def _running(self) -> OpenAiClient:
        if self._client is None:
            raise EngineError("the engine is not started")
        return self._client


def _dialect(client: OpenAiClient, settings: Mapping[str, object]) -> Dialect:
    """Detect the kind of server by its paths; an unknown one gets only OpenAI's own fields."""
    if "vllm:" in (client.text("/metrics") or ""):
        return VLLM
    if client.json("/get_model_info") is not None or client.json("/model_info") is not None:
        return endpoints.of_sglang(settings)
    return PLAIN

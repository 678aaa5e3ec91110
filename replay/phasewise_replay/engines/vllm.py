"""`VllmEngine`: a vLLM server that the run starts for an arm and always stops.

It runs in a separate process, so neither vLLM nor torch is imported here.
"""

import os

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.errors import EngineError

from phasewise_replay.client.openai_channel import OpenAiChannel
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import VLLM
from phasewise_replay.engine import Answer, Endpoint, Request, Resolved
from phasewise_replay.engines import (
    endpoints,
    engine_python,
    server_description,
    start_failure,
    vllm_command,
)
from phasewise_replay.engines.server_process import GRACE_S, ServerProcess, free_port
from phasewise_replay.plans.plan import VllmArm


class VllmEngine:
    """One vLLM server; it exists from `start` to `stop`."""

    def __init__(self, arm: VllmArm, *, grace_s: float = GRACE_S) -> None:
        self._arm = arm
        self._grace_s = grace_s
        self._process: ServerProcess | None = None
        self._client: OpenAiClient | None = None

    def start(self) -> Resolved:
        """Start the server and wait until it answers; see `Lifecycle.start`."""
        arm = self._arm
        arm.check_model()
        python = engine_python.find("vllm", arm.python)
        on_cpu = engine_python.runs_on_cpu(python)
        port = free_port()
        command = vllm_command.command(
            python,
            model=os.path.expanduser(arm.model),  # noqa: PTH111  # a Path would drop a leading ./
            port=port,
            flags=arm.all_flags(),
            on_cpu=on_cpu,
        )
        client = OpenAiClient(f"http://127.0.0.1:{port}", dialect=VLLM)
        self._client = client
        environment = vllm_command.environment(arm.env, on_cpu=on_cpu)
        self._process = ServerProcess(command, environment, grace_s=self._grace_s)
        start_failure.wait_until_healthy(self._process, client, timeout_s=arm.start_timeout_s)
        return server_description.describe(client, engine="vllm", model=None)

    def stop(self) -> None:
        """End the server with everything it started."""
        if self._process is not None:
            self._process.stop()
        if self._client is not None:
            self._client.close()

    def reset(self) -> None:
        """Drop the prefix cache.  Raises EngineError when the server does not."""
        reply = self._running.post("/reset_prefix_cache")
        # older versions answer with an empty body, the canary then tells
        if reply is None or reply.get("success") is False:
            raise EngineError(
                "vLLM could not reset its prefix cache, because running requests hold blocks"
            )

    def send(self, request: Request) -> Answer:
        """Serve one request; when the server has exited, raise with the last error of its log."""
        return self._alive(self._running.send(request))

    def channel(self) -> OpenAiChannel:
        """Return a channel of the same kind, which raises as `send` does."""
        return OpenAiChannel(self._running, checked=self._alive)

    def _alive(self, answer: Answer) -> Answer:
        return start_failure.raise_if_exited(self._process, answer, engine="vLLM")

    def cannot_send(self, endpoint: Endpoint, *, forced: bool) -> str | None:
        """Return why chats cannot go to an endpoint; None where they can."""
        return endpoints.cannot_send(self._running, endpoint, forced=forced)

    def token_ids(self, request: Request) -> TokenIds | None:
        """Return the prompt as vLLM's own tokenizer and chat template make it."""
        return self._running.token_ids(request) if request.endpoint == "chat" else None

    def cached_tokens(self) -> int | None:
        """Return the sum of `vllm:prefix_cache_hits`."""
        return server_description.cached_tokens(self._running)

    @property
    def _running(self) -> OpenAiClient:
        if self._client is None:
            raise EngineError("vLLM is not started")
        return self._client

"""`VllmEngine`: a vLLM server that the run starts for an arm and always stops.

It runs in a separate process, so neither vLLM nor torch is imported here.
"""

import os
import tempfile
from pathlib import Path

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.errors import EngineError

from phasewise_replay.client.endpoint_forms import TELL_IDS
from phasewise_replay.client.openai_channel import OpenAiChannel
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import VLLM
from phasewise_replay.engine import (
    Answer,
    Endpoint,
    Load,
    PhaseSeconds,
    Request,
    Resolved,
    Unmeasured,
)
from phasewise_replay.engines import (
    endpoints,
    engine_python,
    server_description,
    start_failure,
    vllm_command,
    vllm_plugin,
)
from phasewise_replay.engines.forced_tokens import ServerForcing
from phasewise_replay.engines.load_sampler import LoadSampler
from phasewise_replay.engines.server_process import GRACE_S, ServerProcess, free_port
from phasewise_replay.engines.step_log import StepLog
from phasewise_replay.plans.arms import VllmArm


class VllmEngine:
    """One vLLM server; it exists from `start` to `stop`."""

    def __init__(self, arm: VllmArm, *, grace_s: float = GRACE_S) -> None:
        self._arm = arm
        self._grace_s = grace_s
        self._process: ServerProcess | None = None
        self._client: OpenAiClient | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._steps: StepLog | None = None
        self._load: LoadSampler | None = None

    def start(self) -> Resolved:
        """Start the server and wait until it answers; see `Lifecycle.start`."""
        arm = self._arm
        arm.check_model()
        python = engine_python.find("vllm", arm.python)
        on_cpu = engine_python.runs_on_cpu(python)
        port = free_port()
        flags, environment = arm.all_flags(), vllm_command.environment(arm.env, on_cpu=on_cpu)
        if vllm_plugin.supported(python):
            self._folder = tempfile.TemporaryDirectory(prefix="phasewise-vllm-")
            folder = Path(self._folder.name)
            log = folder / "steps.jsonl"
            environment = vllm_plugin.install(folder, log, environment)
            self._steps = StepLog(log, drafts="speculative-config" in flags)
            flags = {vllm_plugin.FLAG: True} | flags
        command = vllm_command.command(
            python,
            model=os.path.expanduser(arm.model),  # noqa: PTH111  # a Path would drop a leading ./
            port=port,
            flags=flags,
            on_cpu=on_cpu,
        )
        client = OpenAiClient(f"http://127.0.0.1:{port}", dialect=VLLM)
        self._client = client
        self._process = ServerProcess(command, environment, grace_s=self._grace_s)
        start_failure.wait_until_healthy(self._process, client, timeout_s=arm.start_timeout_s)
        return server_description.describe(client, engine="vllm", model=None)

    def stop(self) -> None:
        """End the server with everything it started."""
        if self._process is not None:
            self._process.stop()
        if self._client is not None:
            self._client.close()
        if self._folder is not None:
            self._folder.cleanup()

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

    def watch_load(self) -> None:
        """Look at its KV cache and preemptions from now on."""
        self._load = LoadSampler(self._running.base_url, self._running.headers)
        self._load.start()

    def watched_load(self) -> Load | None:
        """Stop looking."""
        return None if self._load is None else self._load.stop()

    def _alive(self, answer: Answer) -> Answer:
        return start_failure.raise_if_exited(self._process, answer, engine="vLLM")

    def cannot_send(self, endpoint: Endpoint, *, forced: bool) -> str | None:
        """Return why chats cannot go to an endpoint; None where they can."""
        return endpoints.cannot_send(self._running, endpoint, forced=forced)

    def token_ids(self, request: Request) -> TokenIds | None:
        """Return the prompt as vLLM's own tokenizer and chat template make it."""
        return self._running.token_ids(request) if request.endpoint in TELL_IDS else None

    def token_forcing(self) -> ServerForcing:
        """Return how it is made to generate given tokens."""
        return ServerForcing(self._running)

    def cached_tokens(self) -> int | None:
        """Return the sum of `vllm:prefix_cache_hits`."""
        return server_description.cached_tokens(self._running)

    def watch_steps(self) -> None:
        """Read the step log from now on."""
        if self._steps is not None:
            self._steps.mark()

    def watched_steps(self) -> PhaseSeconds | Unmeasured:
        """Return the time of all steps, each shared among its calls."""
        if self._steps is None:
            return Unmeasured(f"this vLLM has no stat logger plugins, or no `--{vllm_plugin.FLAG}`")
        return self._steps.shared()

    @property
    def _running(self) -> OpenAiClient:
        if self._client is None:
            raise EngineError("vLLM is not started")
        return self._client

"""`SglangEngine`: an SGLang server that the run starts for an arm and always stops.

It runs in a separate process, so neither SGLang nor torch is imported here. Once it runs, it is
driven like any server at an address.
"""

import os
from dataclasses import replace

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_store.errors import EngineError

from phasewise_replay.client.openai_channel import OpenAiChannel
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import SGLANG
from phasewise_replay.engine import (
    Answer,
    Endpoint,
    Load,
    PhaseSeconds,
    Request,
    Resolved,
    Unmeasured,
)
from phasewise_replay.engines import engine_python, sglang_command, start_failure
from phasewise_replay.engines.server_process import GRACE_S, ServerProcess, free_port
from phasewise_replay.engines.sglang_counters import StepClock
from phasewise_replay.engines.url import UrlEngine
from phasewise_replay.plans.arms import SglangArm, UrlArm


class SglangEngine:
    """One SGLang server; it exists from `start` to `stop`."""

    def __init__(self, arm: SglangArm, *, grace_s: float = GRACE_S) -> None:
        self._arm = arm
        self._grace_s = grace_s
        self._process: ServerProcess | None = None
        self._served: UrlEngine | None = None
        self._counters: OpenAiClient | None = None
        self._on_cpu = False
        self._steps: StepClock | None = None

    def start(self) -> Resolved:
        """Start the server and wait until it answers; see `Lifecycle.start`."""
        arm = self._arm
        arm.check_model()
        flags = arm.all_flags()
        python = engine_python.find("sglang", arm.python)
        self._on_cpu = on_cpu = not engine_python.machine_has_gpu()
        port = free_port()
        command = sglang_command.command(
            python,
            model=os.path.expanduser(arm.model),  # noqa: PTH111  # a Path would drop a leading ./
            port=port,
            flags=flags,
            on_cpu=on_cpu,
        )
        environment = sglang_command.environment(arm.env, on_cpu=on_cpu)
        self._process = ServerProcess(command, environment, grace_s=self._grace_s)
        address = f"http://127.0.0.1:{port}"
        self._counters = client = OpenAiClient(address, dialect=SGLANG)
        start_failure.wait_until_healthy(self._process, client, timeout_s=arm.start_timeout_s)
        self._served = UrlEngine(UrlArm(arm.name, address))
        return replace(self._served.start(), engine="sglang")

    def stop(self) -> None:
        """End the server with everything it started."""
        if self._process is not None:
            self._process.stop()
        if self._served is not None:
            self._served.stop()
        if self._counters is not None:
            self._counters.close()

    def reset(self) -> None:
        """Drop the prefix cache.  Raises EngineError when the server does not."""
        self._running.reset()

    def send(self, request: Request) -> Answer:
        """Serve one request; when the server has exited, raise with the last error of its log."""
        return self._alive(self._running.send(request))

    def channel(self) -> OpenAiChannel:
        """Return a channel of the same kind, which raises as `send` does."""
        return self._running.channel(checked=self._alive)

    def _alive(self, answer: Answer) -> Answer:
        return start_failure.raise_if_exited(self._process, answer, engine="SGLang")

    def cannot_send(self, endpoint: Endpoint, *, forced: bool) -> str | None:
        """Return why chats cannot go to an endpoint; None where they can."""
        return self._running.cannot_send(endpoint, forced=forced)

    def token_ids(self, request: Request) -> TokenIds | None:
        """Return the prompt as SGLang's own tokenizer and chat template make it."""
        return self._running.token_ids(request)

    def watch_load(self) -> None:
        """Look at its KV cache and at retracted requests from now on."""
        self._running.watch_load()

    def watched_load(self) -> Load | None:
        """Stop looking."""
        return self._running.watched_load()

    def watch_steps(self) -> None:
        """Measure from now on."""
        assert self._counters is not None, "SGLang is started"
        overlaps = not self._arm.all_flags().get("disable-overlap-schedule")
        self._steps = StepClock(self._counters, late=self._on_cpu and overlaps)

    def watched_steps(self) -> PhaseSeconds | Unmeasured:
        """Return the time of prefill and of decode steps, as SGLang counts it."""
        found = None if self._steps is None else self._steps.since()
        return found or Unmeasured("this SGLang does not count the time of its steps")

    @property
    def _running(self) -> UrlEngine:
        if self._served is None:
            raise EngineError("SGLang is not started")
        return self._served

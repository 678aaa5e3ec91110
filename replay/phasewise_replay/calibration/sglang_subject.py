"""An SGLang server that is measured: what it says of its steps, and its limits.

Times are SGLang's own, from its `/v1/loads` (0.5.23, srt/managers/scheduler,
_record_step_counters): the time of all prefill steps, and sums over decode steps. It never mixes
prefill and decode in a step, so that these are measured steps of one kind each.

prefill  the time of the prefill step of a prompt alone
decode   the mean time from one decode step to the next, of sequences that are sent together
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from phasewise_analyzer.engine.deployments.calibration import Config
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_analyzer.engine.speculation.config import SpeculationConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.fitted_steps import PURE_KINDS
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep
from phasewise_store.errors import EngineError, UsageError

from phasewise_replay.calibration.probes import DECODED, DecodeProbe, PrefillProbe, Probe
from phasewise_replay.calibration.sending import Sender, busy, disturbed
from phasewise_replay.engine import Resolved
from phasewise_replay.engines import sglang_description
from phasewise_replay.engines.sglang_counters import LOADS, Counted, counted

PATIENCE_S, GLANCE_S = 5.0, 0.002
"""how long the counters may lag behind an answer, and how often they are looked at"""
TOGETHER = 0.9
"""of the sequences of a decode probe, how many its steps must have had on average"""
DEFAULTS = SglangConfig()


class SglangSubject:
    """One SGLang server; raises UsageError where it is busy, or does not count its steps."""

    engine = "sglang"
    kinds = PURE_KINDS
    step_settings: Sequence[str] = (
        "dtype",
        "quantization",
        "kv_cache_dtype",
        "attention_backend",
        "device",
        "disable_cuda_graph",
        "page_size",
        "tp_size",
        "pp_size",
    )

    def __init__(self, sender: Sender, described: Resolved) -> None:
        self.sender = sender
        self.front_s: list[tuple[int, float]] = []
        self.preparing_s: list[float] = []
        self.speculation: SpeculationConfig | None = None
        limits = config(described.settings)
        self.config: Config = limits
        self.sequences = limits.max_running_requests
        self._begun = _idle(sender)
        self._prefilled = 0
        """prompt tokens of probes that were not cached"""

    def refuse_disturbed(self) -> None:
        """Raise UsageError where it has read more prompt tokens than were sent."""
        now = self._settled(self._now())
        if now.prefill_tokens - self._begun.prefill_tokens != self._prefilled:
            raise disturbed()

    def run(self, probe: Probe) -> MeasuredStep | None:
        """Run a probe; None where its steps could not be told apart."""
        if isinstance(probe, PrefillProbe):
            return self._prefill(probe)
        assert isinstance(probe, DecodeProbe), "SGLang has no mixed steps"
        return self._decode(probe)

    def _prefill(self, probe: PrefillProbe) -> MeasuredStep | None:
        prompt = self.sender.prompt(probe.cached + probe.new)
        if probe.cached:
            self._send(prompt[: probe.cached], 1)
        before = self._now()
        answer = self.sender.send(prompt, 1)
        after = self._settled(before)
        new = after.prefill_tokens - before.prefill_tokens
        self._prefilled += new
        if new != probe.new:
            return None  # another request came between, or what was cached is gone
        seconds = after.prefill_s - before.prefill_s
        beyond_s = (answer.token_ns()[0] - answer.begin_ns) / 1e9 - seconds
        self.front_s.append((len(prompt), beyond_s))
        return MeasuredStep(Batch((Chunk(probe.new, probe.cached),)), seconds)

    def _decode(self, probe: DecodeProbe) -> MeasuredStep | None:
        before = self._now()
        prompts = [self.sender.prompt(probe.context) for _ in range(probe.count)]
        with ThreadPoolExecutor(probe.count) as pool:
            for answer in pool.map(lambda prompt: self.sender.send(prompt, DECODED), prompts):
                assert answer.answer.error is None
        after = self._settled(before)
        self._prefilled += after.prefill_tokens - before.prefill_tokens
        steps = after.decode_steps - before.decode_steps
        together = (after.decoded - before.decoded) / max(steps, 1)
        if steps < DECODED / 2 or together < probe.count * TOGETHER:
            return None  # the sequences did not run at the same time
        context = probe.context + DECODED / 2
        batch = Batch(
            decodes=round(together), context=round(together * context), longest=round(context)
        )
        return MeasuredStep(batch, (after.decode_s - before.decode_s) / steps)

    def _send(self, prompt: Sequence[int], output: int) -> None:
        """Have the server cache a prompt."""
        before = self._now()
        self.sender.send(prompt, output)
        self._prefilled += self._settled(before).prefill_tokens - before.prefill_tokens

    def _now(self) -> Counted:
        found = counted(self.sender.client)
        if found is None:
            raise EngineError(f"the server has no counters at `{LOADS}` any longer")
        return found

    def _settled(self, before: Counted) -> Counted:
        """Return the counters once they hold what has been answered since."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            now = self._now()
            if not now.requests and now != before:
                return now
            time.sleep(GLANCE_S)
        return self._now()


def _idle(sender: Sender) -> Counted:
    """Return the counters of an idle server."""
    found = counted(sender.client)
    if found is None:
        raise UsageError(
            f"the server has no counters of its steps at `{LOADS}`: SGLang 0.5.23 has; "
            "`phasewise simulate --engine sglang` without a calibration uses kernel tables or "
            "the roofline"
        )
    if found.requests:
        raise busy(found.requests)
    return found


def config(settings: Mapping[str, object]) -> SglangConfig:
    """Return the flags of the server's scheduler.

    Raises UsageError where it schedules in a way that is not modelled.
    """
    unknown = sglang_description.unmodelled(settings)
    if unknown:
        raise UsageError(
            f"SGLang with `{unknown[0]}={settings[unknown[0]]}` schedules in a way that the "
            "simulation does not model"
        )

    def number(name: str, default: int) -> int:
        value = settings.get(name)
        return value if isinstance(value, int) and value > 0 else default

    chunk = settings.get("chunked_prefill_size")
    conservativeness = settings.get("schedule_conservativeness")
    return SglangConfig(
        chunked_prefill_size=chunk if isinstance(chunk, int) and chunk > 0 else None,
        max_prefill_tokens=number("max_prefill_tokens", DEFAULTS.max_prefill_tokens),
        max_running_requests=_most_running(settings)
        or number("max_running_requests", DEFAULTS.max_running_requests),
        schedule_conservativeness=(
            float(conservativeness) if isinstance(conservativeness, int | float) else 1.0
        ),
        page_size=number("page_size", DEFAULTS.page_size),
        disable_radix_cache=settings.get("disable_radix_cache") is True,
        disable_overlap_schedule=settings.get("disable_overlap_schedule") is True,
        on_cpu=settings.get("device") == "cpu",
    )


def _most_running(settings: Mapping[str, object]) -> int | None:
    """Return the requests that run at once, as the scheduler has settled it."""
    states = settings.get("internal_states")
    state = states[0] if isinstance(states, list) and states else None
    found = state.get("effective_max_running_requests_per_dp") if isinstance(state, dict) else None
    return found if isinstance(found, int) else None

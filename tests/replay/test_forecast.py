"""Forecasts of measured arms: equal to what an engine does that follows the model."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from phasewise_analyzer.engine.deployments import calibration
from phasewise_analyzer.engine.deployments.calibration import Calibration, Server
from phasewise_analyzer.engine.schedulers.drafts import Drafts
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.config import NgramConfig, SpeculationConfig
from phasewise_analyzer.engine.speculation.drafted_calls import DraftedCalls
from phasewise_analyzer.engine.speculation.ngram import ngram_drafts
from phasewise_analyzer.engine.step_times.fitted_steps import KINDS, FittedSteps, KindFit, StepKind
from phasewise_analyzer.engine.step_times.front import NO_FRONT
from phasewise_replay.engine import Answer, Engine, Request, Resolved
from phasewise_replay.engines.fake import FakeChannel, FakeEngine
from phasewise_replay.engines.simulated import SimulatedEngine
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import Arm, SimulatedArm, SimulatedOptions, VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_reports import run_report
from phasewise_store.errors import UsageError
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions

STEP_TIMES = SimulatedOptions(gpu="h100-sxm", model="qwen3-8b")
SLOWER = 3
PLAN = """
name: forecast
arms:
  - {name: "off", engine: vllm, model: m, presets: [prefix-caching-off]}
  - {name: "on", engine: vllm, model: m, presets: [prefix-caching-on]}
  - {name: drafts, engine: vllm, model: m, presets: [prefix-caching-on],
     flags: {speculative-config: {method: ngram, num_speculative_tokens: 2}}}
forecast: {gpu: h100-sxm, model: qwen3-8b}
"""


class Slower:
    """A "measured" engine that follows the model, and takes three times as long."""

    def __init__(self, arm: VllmArm) -> None:
        options = replace(STEP_TIMES, flags=arm.all_flags())
        self._drafts: dict[str, Drafts] = {}
        self._config: SpeculationConfig | None = None
        self._model = SimulatedEngine(SimulatedArm(arm.name, options), drafting=self._drafting)

    def _drafting(self, config: SpeculationConfig) -> DraftedCalls:
        self._config = config
        return DraftedCalls(config, "made", self._drafts)

    def start(self) -> Resolved:
        """Describe a vLLM that reads token ids."""
        found = self._model.start()
        settings = {
            f"scheduler_config.{name}": found.settings[name]
            for name in ("max_num_batched_tokens", "max_num_seqs")
        }
        return replace(found, engine="vllm", basis="measured", settings=settings, step_times=None)

    def stop(self) -> None:
        """Forget everything."""
        self._model.stop()

    def reset(self) -> None:
        """Forget the cache."""
        self._model.reset()

    def channel(self) -> FakeChannel:
        """Return a channel that answers as `send` does."""
        return FakeChannel(self.send)

    def send(self, request: Request) -> Answer:
        """Answer, all times three times as long; outputs repeat three tokens."""
        prompt, output = request.prompt_token_ids, np.arange(request.output_tokens) % 3
        assert prompt is not None
        if self._config is not None:
            assert isinstance(self._config, NgramConfig)
            self._drafts[request.call_id] = ngram_drafts(prompt, output, self._config)
        answer = replace(self._model.send(request), output_token_ids=output)
        names = ("duration_ns", "ttft_ns", "queue_ns", "prefill_ns", "decode_ns")
        slow = {name: SLOWER * getattr(answer, name) for name in names}
        return replace(answer, sent_ns=10**18 + SLOWER * answer.sent_ns, **slow)


class Bfloat16(Slower):
    """One that reports its format."""

    def start(self) -> Resolved:
        """Describe it."""
        found = super().start()
        return replace(found, settings={**found.settings, "model_config.dtype": "bfloat16"})


def engine_of(arm: Arm) -> Engine:
    """Return the engine of an arm."""
    assert isinstance(arm, VllmArm)
    return Slower(arm)


def planned(text: str = PLAN) -> Plan:
    """Read a plan of the recorded sessions."""
    return plan_file.parse(f"{text}\nsessions: {{source: recorded}}\n", "made")


def test_an_engine_that_follows_the_model_is_forecast_exactly(store: Store) -> None:
    """Whatever the scale of its times: caching, and speculation on what the baseline wrote."""
    write_sessions(store)
    verdict = compare(store, run(store, planned(), engine_for=engine_of))
    assert [one.arm for one in verdict.forecasts] == ["on", "drafts"]
    found = {arm.arm: {one.name: one for one in arm.measures} for arm in verdict.forecasts}
    for arm in verdict.forecasts:
        assert arm.step_times is not None
        assert arm.step_times.kind == "roofline"
        for one in arm.measures:
            assert one.predicted_percent == pytest.approx(one.measured_percent, abs=1e-3)
            assert one.close
    assert found["on"]["prefill_s"].measured_percent < -5
    assert found["on"]["decode_s"].measured_percent == pytest.approx(0, abs=1)
    assert found["drafts"]["decode_s"].measured_percent < -30
    on, drafts = verdict.forecasts
    assert on.acceptance_length is None
    assert drafts.acceptance_length is not None
    assert 2 < drafts.acceptance_length <= 3  # outputs repeat, and two tokens are drafted
    for text in (run_report.render_html(verdict), run_report.render_markdown(verdict)):
        assert f"{found['drafts']['decode_s'].predicted_percent:+.1f}" in text
        assert f"cceptance length: {drafts.acceptance_length:.4g} tokens" in text


def test_nothing_is_forecast_beside_a_baseline_with_speculation(store: Store) -> None:
    """Its step times are not those of an engine that verifies no drafts."""
    write_sessions(store)
    first, *_, drafts = planned().arms
    plan = replace(planned(), arms=(drafts, first))
    verdict = compare(store, run(store, plan, engine_for=engine_of))
    (without,) = verdict.forecasts
    assert (without.arm, without.measures) == ("off", ())
    assert without.reason == "nothing is forecast beside a baseline with speculation"
    assert f"No forecast: {without.reason}" in run_report.render_markdown(verdict)


def test_a_plan_with_a_forecast_is_written_and_read_back() -> None:
    """As it is stored with its run."""
    plan = planned()
    assert plan_file.parse(as_yaml(plan), "stored") == plan
    assert plan.forecast == STEP_TIMES


def with_own(path: object) -> str:
    """Write a plan in which the arm that drafts has a calibration of its own."""
    return PLAN.replace("qwen3-8b}\n", f"qwen3-8b, arms: {{drafts: {path}}}}}\n")


def calibrated(folder: Path, *, decode_s: float) -> Path:
    """Write the calibration of a server that drafts, in which a decode step takes so long."""
    terms = {"prefill": 6, "decode": 4, "mixed": 7}
    fits: dict[StepKind, KindFit] = {}
    for kind in KINDS:
        first = decode_s if kind == "decode" else 0.01
        more = [0.0] * (terms[kind] - 1)
        fits[kind] = KindFit((first, *more), error=0.0, p90=0.0, worst=0.0, steps=20)
    path = folder / f"own-{decode_s}.json"
    calibration.write(
        path,
        Calibration(
            Server("vllm", "0.32.0", "m", None, {"model_config.dtype": "float32"}),
            FittedSteps(fits, "made", datetime.now(UTC)),
            SchedulerConfig(async_scheduling=False),
            None,
            NO_FRONT,
            NgramConfig(2),
            measured_drafting=True,
        ),
    )
    return path


def test_an_arm_is_forecast_on_a_calibration_of_its_own(store: Store, tmp_path: Path) -> None:
    """Twice as long steps give twice the decode time, and no other arm changes."""
    write_sessions(store)
    found: dict[str, list[float]] = {"on": [], "drafts": []}
    for decode_s in (0.02, 0.04):
        plan = planned(with_own(calibrated(tmp_path, decode_s=decode_s)))
        for arm in compare(store, run(store, plan, engine_for=engine_of)).forecasts:
            (decode,) = [one for one in arm.measures if one.name == "decode_s"]
            found[arm.arm].append(1 + decode.predicted_percent / 100)
    assert found["drafts"][1] == pytest.approx(2 * found["drafts"][0])
    assert found["on"][1] == found["on"][0]


def test_a_calibration_of_another_server_forecasts_nothing(store: Store, tmp_path: Path) -> None:
    """Its settings are compared with what the arm's server reports."""
    write_sessions(store)
    path = calibrated(tmp_path, decode_s=0.02)

    def bfloat16(arm: Arm) -> Engine:
        assert isinstance(arm, VllmArm)
        return Bfloat16(arm)

    verdict = compare(store, run(store, planned(with_own(path)), engine_for=bfloat16))
    reasons = {one.arm: one.reason for one in verdict.forecasts}
    assert reasons == {
        "on": None,
        "drafts": f"`{path}` is of a server with `model_config.dtype` float32; the arm's has "
        "bfloat16",
    }


@pytest.mark.parametrize("own", [True, False], ids=["its own", "the plan's"])
def test_what_was_measured_while_drafting_forecasts_no_arm_without(
    store: Store, tmp_path: Path, own: bool
) -> None:
    """Its decode steps verify drafts, and the simulation would draft."""
    write_sessions(store)
    path = calibrated(tmp_path, decode_s=0.02)
    text = with_own(path).replace("{drafts:", "{on:")
    if not own:
        text = PLAN.replace("{gpu: h100-sxm, model: qwen3-8b}", f"{{calibration: {path}}}")
    verdict = compare(store, run(store, planned(text), engine_for=engine_of))
    (on,) = [one for one in verdict.forecasts if one.arm == "on"]
    arm = "on" if own else "off"  # without a forecast of the baseline there is none of an arm
    assert on.reason == (
        f"`{path}` was measured while the server drafted, and the arm `{arm}` does not draft"
    )


def test_a_plan_names_calibrations_of_its_own_arms() -> None:
    """They are stored with it, and an arm that is not there is an error."""
    plan = planned(with_own("own.json"))
    assert plan.calibrations == {"drafts": "own.json"}
    assert plan_file.parse(as_yaml(plan), "stored") == plan
    with pytest.raises(UsageError, match=r"`forecast.arms` of plan `forecast` names `others`"):
        planned(with_own("own.json").replace("{drafts: own", "{others: own"))


def test_an_engine_that_tells_no_tokens_has_no_forecast(store: Store) -> None:
    """The same text is another number of tokens to every model."""
    write_sessions(store)
    verdict = compare(store, run(store, planned(), engine_for=lambda arm: FakeEngine()))
    assert {one.reason for one in verdict.forecasts} == {
        "the server does not tell its prompts in tokens"
    }

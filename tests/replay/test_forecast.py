"""Forecasts of measured arms: equal to what an engine does that follows the model."""

from dataclasses import replace

import numpy as np
import pytest
from phasewise_analyzer.engine.schedulers.drafts import Drafts
from phasewise_analyzer.engine.speculation.config import NgramConfig, SpeculationConfig
from phasewise_analyzer.engine.speculation.drafted_calls import DraftedCalls
from phasewise_analyzer.engine.speculation.ngram import ngram_drafts
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
    for text in (run_report.render_html(verdict), run_report.render_markdown(verdict)):
        assert f"{found['drafts']['decode_s'].predicted_percent:+.1f}" in text


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


def test_an_engine_that_tells_no_tokens_has_no_forecast(store: Store) -> None:
    """The same text is another number of tokens to every model."""
    write_sessions(store)
    verdict = compare(store, run(store, planned(), engine_for=lambda arm: FakeEngine()))
    assert {one.reason for one in verdict.forecasts} == {
        "the server does not tell its prompts in tokens"
    }

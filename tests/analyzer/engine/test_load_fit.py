"""Efficiencies tuned to loads: a made-up server is found again, an impossible one refused."""

import random
from dataclasses import replace

import pytest
from phasewise_analyzer.engine.deployments.deployment import Deployment, deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.outcomes import load_fit
from phasewise_analyzer.engine.outcomes.load_fit import MeasuredLoad
from phasewise_analyzer.engine.outcomes.summary import Summary, summarise
from phasewise_analyzer.engine.runs.replicas import serve
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.step_times.front import Front
from phasewise_analyzer.engine.step_times.roofline import Efficiency
from phasewise_analyzer.engine.step_times.step_fit import ImpossibleFitError

LLAMA, A100 = model_config.known("llama-3.1-8b"), gpus.find("a100")


def engine(efficiency: Efficiency) -> Deployment:
    """Set Llama-3.1-8B up on an A100."""
    return deploy(LLAMA, A100, {}, efficiency=efficiency)


def stream(rate: float, requests: int = 60) -> list[Request]:
    """Draw Poisson arrivals."""
    drawn, now = random.Random(3), 0.0
    found = []
    for _ in range(requests):
        now += drawn.expovariate(rate)
        found.append(Request(now, 512, 64, ()))
    return found


def served(rate: float, deployed: Deployment) -> Summary:
    """Serve a stream."""
    outcome = serve(stream(rate), deployed)
    return summarise(outcome.served, outcome.preemptions)


def measured(rate: float, deployed: Deployment) -> MeasuredLoad:
    """Take what an engine does for what was measured."""
    found = served(rate, deployed)
    assert found.tpot_s is not None
    return MeasuredLoad(
        [stream(rate)],
        found.output_tokens_s,
        found.tpot_s.p50,
        found.ttft_s.p50,
        found.latency_s.p50,
    )


def test_a_server_that_differs_from_the_prior_is_found_again() -> None:
    """From 1 and 8 requests/s of a slower server, its saturated throughput within 4 %."""
    slower = Efficiency(
        mfu=0.62, mbu=0.72, launch_s=1.2e-3, ramp_tokens=300, op_s=6e-6, sequence_s=55e-6
    )
    server = replace(engine(slower), front=Front(0.015))
    found = load_fit.fit(engine, [measured(1, server), measured(8, server)])
    wanted = served(1000, server).output_tokens_s
    calibrated = served(1000, replace(engine(found.efficiency), front=found.front))
    assert calibrated.output_tokens_s == pytest.approx(wanted, rel=0.04)
    prior = served(1000, engine(Efficiency())).output_tokens_s
    assert abs(prior / wanted - 1) > 0.1
    assert found.front.latency_s == pytest.approx(0.015, abs=0.01)


def test_loads_faster_than_the_gpu_can_serve_are_refused() -> None:
    """Times of a GPU with ten times the memory bandwidth imply an MBU above 1."""
    faster = replace(A100, bytes_s=10 * A100.bytes_s, rates={"bf16": 10 * A100.rates["bf16"]})
    server = deploy(LLAMA, faster, {}, efficiency=Efficiency(op_s=1e-7, sequence_s=1e-6))
    with pytest.raises(ImpossibleFitError, match="the GPU or the model is another than was named"):
        load_fit.fit(engine, [measured(1, server), measured(8, server)])

"""Sweeps: the largest load that meets an SLO, by hand."""

import pytest
from phasewise_analyzer.engine.outcomes import slo
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_analyzer.engine.outcomes.sweep import BISECTIONS, Frontier, sweep
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request, Served
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes

CONFIG = SchedulerConfig(async_scheduling=False)
STEP_S = (16 + 3 * 16) / 1024
"""of a prompt of 16 tokens with one output token: 1/16 s, so at most 16 requests per second"""


def swept(requests: list[Request], limit: Slo, share: float = 1.0) -> Frontier:
    """Sweep one engine that serves one request at a time."""
    config = SchedulerConfig(async_scheduling=False, max_num_seqs=1)
    return sweep(
        requests,
        lambda stream: simulate(stream, MadeUpTimes(), config, blocks=None),
        limit,
        share=share,
    )


def test_the_largest_load_keeps_a_server_just_busy() -> None:
    """Equal requests that take 1/16 s each: no queue up to 16 per second, a growing one beyond."""
    requests = [Request(at * 1.0, 16, 1, ()) for at in range(200)]
    found = swept(requests, Slo(ttft=STEP_S * 1.001))
    assert found.largest is not None
    assert found.largest.rate == pytest.approx(16, rel=2 ** (1 / 2**BISECTIONS) - 1)
    assert found.largest.rate <= 16 * 1.001
    assert [point.rate for point in found.points] == sorted(point.rate for point in found.points)
    assert found.points[-1].attainment < 1
    assert found.points[0].goodput == pytest.approx(found.points[0].rate, rel=0.01)


def test_an_slo_below_a_lone_request_is_met_by_no_load() -> None:
    """A step takes 62.5 ms; no rate brings it below 60 ms."""
    found = swept([Request(at * 1.0, 16, 1, ()) for at in range(10)], Slo(ttft=0.06))
    assert found.largest is None
    assert all(point.attainment == 0 for point in found.points)


def test_a_stream_without_a_rate_is_refused() -> None:
    """All requests at time 0 cannot be sent faster."""
    with pytest.raises(UsageError, match="all requests arrive at once"):
        swept([Request(0.0, 16, 1, ())] * 3, Slo(ttft=1))


def test_every_limit_counts() -> None:
    """A request meets an SLO if it meets each limit; one without a TPOT meets any TPOT."""
    served = Served(1.0, first_s=2.0, last_s=4.0, output_tokens=5)
    assert Slo(ttft=1.0, tpot=0.5, latency=3.0).met(served)
    for broken in (Slo(ttft=0.9), Slo(tpot=0.4), Slo(latency=2.9)):
        assert not broken.met(served)
    alone = Served(0.0, first_s=1.0, last_s=1.0, output_tokens=1)
    assert Slo(tpot=0.001).met(alone)
    assert Slo(ttft=1.0).attainment([served, alone]) == 1
    assert Slo(ttft=0.5).goodput([served, alone]) == 0
    assert Slo(latency=1.5).goodput([served, alone]) == 1 / 4


@pytest.mark.parametrize("text", ["", "ttft", "ttft=0", "ttft=fast", "speed=3", "ttft=1;tpot=2"])
def test_what_is_no_slo_is_named(text: str) -> None:
    """The message says which limits there are."""
    with pytest.raises(UsageError, match="one or more of ttft, tpot, latency"):
        slo.parse(text)


def test_an_slo_is_read_in_seconds() -> None:
    """Names and numbers, separated by commas."""
    assert slo.parse("ttft=2, tpot=0.05") == Slo(ttft=2, tpot=0.05)

"""How long a calibration goes on, and what it keeps, on a subject whose probes take a second."""

from collections.abc import Callable, Sequence

import pytest
from phasewise_analyzer.engine.deployments.calibration import Config
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_analyzer.engine.speculation.config import SpeculationConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.fitted_steps import PURE_KINDS, StepKind
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep, lacking
from phasewise_replay.calibration import rounds
from phasewise_replay.calibration.probes import DecodeProbe, PrefillProbe, Probe
from phasewise_replay.calibration.sending import Sender
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import SGLANG

PREFILLS: list[Probe] = [PrefillProbe(16 * size, 0) for size in range(1, 12)]
DECODES: list[Probe] = [DecodeProbe(count, 32) for count in range(1, 10)]
ROUND = [*PREFILLS, *DECODES]


class Subject:
    """A server of which `together` tells whether the sequences of its nth probe ran together."""

    engine = "sglang"
    kinds: tuple[StepKind, ...] = PURE_KINDS
    step_settings: Sequence[str] = ()
    sequences = 16

    def __init__(self, together: Callable[[int], bool] = bool) -> None:
        self.config: Config = SglangConfig()
        self.sender = Sender(OpenAiClient("http://127.0.0.1:1", dialect=SGLANG), vocabulary=1000)
        self.front_s: list[tuple[int, float]] = []
        self.preparing_s: list[float] = []
        self.speculation: SpeculationConfig | None = None
        self.probes = 0
        self._together = together

    def clock(self) -> float:
        """Return the seconds since the first probe."""
        return float(self.probes)

    def refuse_disturbed(self) -> None:
        """Nobody else is there."""

    def run(self, probe: Probe) -> MeasuredStep | None:
        """Tell a step that took as long as there were probes before it."""
        self.probes += 1
        if isinstance(probe, DecodeProbe):
            batch = Batch(decodes=probe.count, context=32 * probe.count, longest=32)
            return MeasuredStep(batch, self.probes) if self._together(self.probes) else None
        assert isinstance(probe, PrefillProbe)
        return MeasuredStep(Batch((Chunk(probe.new, 0),)), self.probes)


def measured(subject: Subject, seconds: float) -> list[MeasuredStep]:
    """Run rounds of all probes."""
    return rounds.measured(
        subject,
        ROUND,
        seconds,
        report=lambda done, planned: None,
        kinds=PURE_KINDS,
        clock=subject.clock,
    )


@pytest.mark.parametrize(
    ("seconds", "probes"),
    [
        (10, len(ROUND)),  # the first round is brought to its end
        (25, 26),  # then the time counts
        (5, 16),  # but not more than three times the time
        (1000, rounds.ROUNDS * len(ROUND)),
    ],
)
def test_it_goes_on_for_its_time_and_at_least_a_round(seconds: float, probes: int) -> None:
    """A probe that has begun ends, hence one more than seconds."""
    subject = Subject()
    measured(subject, seconds)
    assert subject.probes == probes


def test_a_kind_that_has_too_few_steps_gets_another_round() -> None:
    """On a busy machine sequences did not run together in the first round."""
    subject = Subject(together=lambda at: at > len(ROUND))
    steps = measured(subject, 15)
    assert lacking(steps, "decode") == 0
    assert subject.probes == 2 * len(ROUND)


def test_a_kind_that_never_has_enough_ends_it_after_three_times_its_time() -> None:
    """The fit then says which kind it was."""
    subject = Subject(together=lambda at: False)
    steps = measured(subject, 15)
    assert lacking(steps, "decode") == 4 + 5
    assert subject.probes == 3 * 15 + 1


def test_the_middle_of_a_probe_s_rounds_counts() -> None:
    """Of nine rounds the fifth: times grow from round to round."""
    steps = measured(Subject(), 1000)
    assert len(steps) == len(ROUND)
    assert sorted(step.seconds for step in steps) == [4 * len(ROUND) + at + 1 for at in range(20)]

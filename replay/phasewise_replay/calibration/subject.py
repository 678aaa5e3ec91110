"""What a calibration asks of a server of one engine; `VllmSubject` and `SglangSubject` are two."""

from collections.abc import Sequence
from typing import Protocol

from phasewise_analyzer.engine.deployments.calibration import Config
from phasewise_analyzer.engine.speculation.config import SpeculationConfig
from phasewise_analyzer.engine.step_times.fitted_steps import StepKind
from phasewise_analyzer.engine.step_times.step_fit import MeasuredStep

from phasewise_replay.calibration.probes import Probe
from phasewise_replay.calibration.sending import Sender


class Subject(Protocol):
    """A running server that is measured; it was idle when this was made."""

    engine: str
    kinds: tuple[StepKind, ...]
    """the kinds of steps that it has"""
    step_settings: Sequence[str]
    """settings that step times depend on"""
    config: Config
    """the limits of its scheduler, as far as it tells"""
    sequences: int
    """sequences at once, at most"""
    speculation: SpeculationConfig | None
    """how it drafts; the times of its decode steps are then in a step log only"""
    sender: Sender
    front_s: list[tuple[int, float]]
    """of lone prompts: their tokens, and the time to the first token beyond the engine's own"""
    preparing_s: list[float]
    """of steps whose number of tokens was new: how much longer they took than the same again"""

    def refuse_disturbed(self) -> None:
        """Raise UsageError where others have used the server since the first probe."""
        ...

    def run(self, probe: Probe) -> MeasuredStep | None:
        """Run a probe; None where its steps could not be told apart.

        Raises EngineError where the server refuses it.
        """
        ...

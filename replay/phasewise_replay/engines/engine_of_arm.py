"""Create the engine of an arm, without starting it."""

from phasewise_analyzer.engine.speculation.drafted_calls import Drafting

from phasewise_replay.engine import Engine
from phasewise_replay.engines.sglang import SglangEngine
from phasewise_replay.engines.simulated import SimulatedEngine
from phasewise_replay.engines.url import UrlEngine
from phasewise_replay.engines.vllm import VllmEngine
from phasewise_replay.plans.arms import Arm, SglangArm, SimulatedArm, UrlArm


def engine_of(arm: Arm, *, drafting: Drafting | None = None) -> Engine:
    """Return the engine that the arm describes; simulated ones draft where outputs are at hand."""
    if isinstance(arm, SimulatedArm):
        return SimulatedEngine(arm, drafting=drafting)
    if isinstance(arm, SglangArm):
        return SglangEngine(arm)
    if isinstance(arm, UrlArm):
        return UrlEngine(arm)
    return VllmEngine(arm)

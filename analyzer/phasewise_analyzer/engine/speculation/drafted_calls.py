"""What is drafted for each call of a workload, and what that stands on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from phasewise_analyzer.engine.schedulers.drafts import Drafts
from phasewise_analyzer.engine.speculation.config import SpeculationConfig


@dataclass(frozen=True, slots=True)
class DraftedCalls:
    """Drafts of calls."""

    config: SpeculationConfig
    basis: str
    """computed on which tokens, or assumed"""
    drafts: Mapping[str, Drafts]
    """by call"""
    calls_without_text: int = 0
    """they draft nothing"""


Drafting = Callable[[SpeculationConfig], DraftedCalls]
"""drafts for the calls of a workload; raises UsageError where no call has text"""

"""Which recorded sessions a plan replays."""

from dataclasses import dataclass
from typing import Literal, get_args

Sample = Literal["oldest", "newest", "stratified", "cost-weighted"]
"""how sessions are chosen where there are more than the limit"""


SAMPLES: tuple[Sample, ...] = get_args(Sample)


@dataclass(frozen=True, slots=True)
class SessionChoice:
    """Which recorded sessions are replayed, in the order of their first call."""

    source: str | None = None
    """name of the data set; None is every one"""
    limit: int | None = 20
    """at most so many sessions; None is all"""
    max_calls: int | None = None
    """at most so many calls of each session, from its start; None is all"""
    ids: tuple[str, ...] = ()
    """these sessions and no others, in this order"""
    sample: Sample = "oldest"
    """the rule that chooses them (`sessions.sampling`)"""
    seed: int = 0
    """of the rules that draw"""
    keep_duplicates: bool = False
    """replay sessions again whose calls have the prompts of another one"""
    keep_secrets: bool = False
    """send secrets as recorded, instead of stand-ins"""


OLDEST = SessionChoice()
"""twenty, of every data set"""

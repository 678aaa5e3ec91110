"""How the sessions of a run were chosen: a record that the run keeps and the verdict shows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from phasewise_replay.plans.session_choice import Sample

Rule = Sample | Literal["named"]
"""named: the plan lists the sessions"""
RULES = {
    "named": "those that the plan names",
    "oldest": "the oldest",
    "newest": "the newest",
    "stratified": "drawn from each agent in proportion to its sessions",
    "cost-weighted": "drawn with a chance in proportion to their recorded cost",
}
DRAWN = ("stratified", "cost-weighted")


@dataclass(frozen=True, slots=True)
class Stratum:
    """The sessions of one agent."""

    agent: str
    """of a session's first call"""
    sessions: int
    chosen: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """What was replaced of one kind."""

    kind: str
    secrets: int
    """different ones"""
    places: int
    """where they stood, each different text counted once"""


@dataclass(frozen=True, slots=True)
class Started:
    """Where sessions were started in the middle."""

    at: float | Literal["random"]
    """below 1 a share of a session's calls, else a number of calls; random is drawn by the seed"""
    seed: int | None
    """None where nothing is drawn"""
    calls: int
    """before the start, of all sessions"""
    filling: int
    """of these, those that were sent to fill the cache: the prompts of the others are in theirs"""
    too_short: int
    """sessions without a call after the start, which were left out"""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rule, what it chose from, and what was left out or replaced."""

    rule: Rule
    seed: int | None
    """None where the rule draws nothing"""
    of: int
    """sessions with prompts that could have been chosen, duplicates not counted"""
    session_ids: tuple[str, ...]
    """those that were chosen, in the order of the replay"""
    strata: tuple[Stratum, ...] = ()
    cost_share: float | None = None
    """of the recorded cost of all that could have been chosen"""
    cost_in: Literal["dollars", "tokens"] = "dollars"
    """tokens where not every session has a price: those of input and output"""
    duplicates: int = 0
    """sessions left out because another one has the same prompts"""
    duplicate_of: tuple[tuple[str, str], ...] = ()
    """the first of them, each with the one that stays"""
    secrets: tuple[Replaced, ...] = ()
    secrets_kept: bool = False
    """the plan asks to send them as recorded"""
    started: Started | None = None
    """None where sessions begin with their first call"""

    @property
    def drawn(self) -> bool:
        """Whether some of several sessions were chosen."""
        return len(self.session_ids) < self.of

    @property
    def in_words(self) -> str:
        """Say how the sessions were chosen, in one sentence."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        if not self.drawn and self.rule != "named":
            words = f"all {self.of:,} sessions"
        else:
            words = f"{len(self.session_ids):,} of {self.of:,} sessions, {RULES[self.rule]}{seed}"
        if self.cost_share is not None and self.drawn:
            unit = "cost" if self.cost_in == "dollars" else "tokens"
            words += f"; {self.cost_share:.0%} of the recorded {unit}"
        return words

    @property
    def duplicates_in_words(self) -> str:
        """Say which sessions were left out as duplicates; empty where none were."""
        if not self.duplicates:
            return ""
        pairs = ", ".join(f"{one} (as {other})" for one, other in self.duplicate_of[:SHOWN])
        more = self.duplicates - min(SHOWN, len(self.duplicate_of))
        rest = f", and {more:,} more" if more else ""
        noun = "session has" if self.duplicates == 1 else "sessions have"
        return f"{self.duplicates:,} {noun} the prompts of another one, left out: {pairs}{rest}"

    @property
    def started_in_words(self) -> str:
        """Say where sessions were started; empty where they begin with their first call."""
        if self.started is None:
            return ""
        at, calls = self.started.at, self.started.calls
        if at == "random":
            where = f"at random calls, seed {self.started.seed}"
        else:
            where = f"after {at:.0%} of their calls" if at < 1 else f"after {at:.0f} calls"
        words = (
            f"sessions start {where}: {self.started.filling:,} of the {calls:,} calls before fill "
            "the cache, unmeasured"
        )
        if self.started.too_short:
            words += f"; {self.started.too_short:,} sessions are too short and left out"
        return words

    @property
    def secrets_in_words(self) -> str:
        """Say what was replaced before prompts were sent."""
        if self.secrets_kept:
            return "sent as recorded, as the plan asks"
        if not self.secrets:
            return "none found in the prompts"
        kinds = ", ".join(f"{one.kind}: {one.secrets:,}" for one in self.secrets)
        places = sum(one.places for one in self.secrets)
        return (
            f"{sum(one.secrets for one in self.secrets):,} replaced by stand-ins at {places:,} "
            f"{'place' if places == 1 else 'places'} ({kinds})"
        )


SHOWN, MOST_KEPT = 5, 100
"""duplicates that are printed, and that a run keeps"""


def encode(selections: Sequence[Selection]) -> str:
    """Write the selections of a run as the JSON that stands in the store."""
    return orjson.dumps([asdict(one) for one in selections]).decode()


def decode(text: str | None) -> tuple[Selection, ...]:
    """Read them; a run of an older version has none."""
    if text is None:
        return ()
    return tuple(
        Selection(
            **one
            | {
                "session_ids": tuple(one["session_ids"]),
                "strata": tuple(Stratum(**row) for row in one["strata"]),
                "duplicate_of": tuple((first, other) for first, other in one["duplicate_of"]),
                "secrets": tuple(Replaced(**row) for row in one["secrets"]),
                "started": None if one.get("started") is None else Started(**one["started"]),
            }
        )
        for one in orjson.loads(text)
    )

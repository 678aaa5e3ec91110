"""What a drafter proposes at each place of a call's output, and the steps that follow from it.

A decode step verifies the drafted tokens beside the token it generates anyway: it emits the
accepted ones and one more. Captured tokens say which drafts are accepted: those equal to them. That
is exact for greedy decoding; at a temperature it holds in expectation, because a draft is accepted
with the probability with which the model would have sampled it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Drafts:
    """Draft tokens of one call by the number of output tokens that are known, from 0."""

    drafted: Counts
    """[output tokens] tokens proposed"""
    accepted: Counts
    """[output tokens] those equal to the captured output; a draft can reach beyond its end, and
    what the model would have said there is not known"""

    @property
    def most(self) -> int:
        """Tokens of the longest draft."""
        return int(self.drafted.max(initial=0))

    def next_draft(self, known: int) -> int:
        """Return the first place from a number of known tokens on that has a draft, or the end."""
        places = np.flatnonzero(self.drafted[known:])
        return known + int(places[0]) if len(places) else len(self.drafted)

    def steps(self) -> "Steps":
        """Follow the decode steps; the first token comes from the prompt and is not drafted."""
        places = []
        accepted = self.accepted.tolist()
        known = 1
        while known < len(accepted):
            places.append(known)
            known += accepted[known] + 1
        at = np.array(places, dtype=np.int64)
        return Steps(self.drafted[at], self.accepted[at])


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The decode steps of one call."""

    drafted: Counts
    """[steps]"""
    accepted: Counts
    """[steps]"""

    def acceptance(self) -> "Acceptance":
        """Sum the steps up."""
        return Acceptance(
            calls=1,
            steps=len(self.drafted),
            drafts=int(np.count_nonzero(self.drafted)),
            drafted=int(self.drafted.sum()),
            accepted=int(self.accepted.sum()),
        )


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How well drafts did over some calls, under vLLM's names."""

    calls: int = 0
    steps: int = 0
    """decode steps: each generates one token besides the accepted ones"""
    drafts: int = 0
    """steps with a draft, `vllm:spec_decode_num_drafts`"""
    drafted: int = 0
    """`vllm:spec_decode_num_draft_tokens`"""
    accepted: int = 0
    """`vllm:spec_decode_num_accepted_tokens`, those beyond the end of an output left out"""

    @property
    def rate(self) -> float | None:
        """Accepted share of drafted tokens; None where nothing was drafted."""
        return self.accepted / self.drafted if self.drafted else None

    @property
    def length(self) -> float | None:
        """Mean acceptance length as vLLM defines it: tokens per step that had a draft."""
        return 1 + self.accepted / self.drafts if self.drafts else None

    @property
    def tokens_per_step(self) -> float | None:
        """Tokens generated per decode step, steps without a draft included."""
        return 1 + self.accepted / self.steps if self.steps else None


def total(parts: Iterable[Acceptance]) -> Acceptance:
    """Sum calls up."""
    found = list(parts)
    return Acceptance(
        calls=sum(one.calls for one in found),
        steps=sum(one.steps for one in found),
        drafts=sum(one.drafts for one in found),
        drafted=sum(one.drafted for one in found),
        accepted=sum(one.accepted for one in found),
    )

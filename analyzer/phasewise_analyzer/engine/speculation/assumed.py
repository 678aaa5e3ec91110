"""Drafts of calls without text: every step drafts, and as much is accepted as the user assumes."""

from functools import lru_cache

import numpy as np
from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.schedulers.drafts import Drafts
from phasewise_analyzer.engine.speculation.config import SpeculationConfig


def refuse_impossible(length: float, config: SpeculationConfig) -> None:
    """Raise UsageError for an acceptance length that no drafts of this size can have."""
    if not 1 <= length <= config.tokens + 1:
        raise UsageError(
            f"an acceptance length of {length:g} is impossible: a step generates one token and "
            f"accepts up to {config.tokens} drafted ones, so it lies between 1 and "
            f"{config.tokens + 1}"
        )


@lru_cache(maxsize=4096)
def assumed_drafts(output_tokens: int, tokens: int, length: float) -> Drafts:
    """Return drafts of so many tokens per step whose mean acceptance length is the given one.

    Whole tokens are accepted, so that steps differ by one and their mean is right.
    """
    accepted = np.full(output_tokens, int(length) - 1, dtype=np.int64)
    known, step = 1, 0
    while known < output_tokens:
        step += 1
        # what all steps accept, less what those before have
        wanted = int(step * (length - 1) + 1e-9) - int((step - 1) * (length - 1) + 1e-9)
        accepted[known] = wanted
        known += wanted + 1
    left = output_tokens - np.arange(output_tokens)
    drafted = np.full(output_tokens, tokens, dtype=np.int64)
    drafted[:1] = accepted[:1] = 0
    return Drafts(drafted, np.minimum(accepted, left))

"""Which calls of a run failed, in the servers' own words.  `compare` and `fidelity` tell it."""

import re
from collections.abc import Iterable

import polars as pl

from phasewise_replay.verdict import Failures

MOST_REASONS = 3
_NUMBER = re.compile(r"\d+")


def failures(calls: pl.DataFrame) -> Failures:
    """Count the calls with an error, and give the first distinct reasons."""
    errors = calls["error"].drop_nulls().to_list()
    return Failures(len(errors), calls.height, distinct(errors))


def distinct(errors: Iterable[str]) -> tuple[str, ...]:
    """Give the first reasons that differ in more than their numbers."""
    found: dict[str, str] = {}
    for error in errors:
        found.setdefault(_NUMBER.sub("0", error), error)
        if len(found) == MOST_REASONS:
            break
    return tuple(found.values())

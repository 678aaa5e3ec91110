"""Failed calls of a run, with the servers' error messages.  Used by `compare` and `fidelity`."""

import re
from collections.abc import Iterable

import polars as pl

from phasewise_replay.verdicts.verdict import Failures

MOST_REASONS = 3
_NUMBER = re.compile(r"\d+")


def failures(calls: pl.DataFrame) -> Failures:
    """Count the calls that failed, with the first distinct error messages."""
    errors = calls["error"].drop_nulls().to_list()
    return Failures(len(errors), calls.height, distinct(errors))


def distinct(errors: Iterable[str]) -> tuple[str, ...]:
    """Return the first messages that differ in more than their numbers."""
    found: dict[str, str] = {}
    for error in errors:
        found.setdefault(_NUMBER.sub("0", error), error)
        if len(found) == MOST_REASONS:
            break
    return tuple(found.values())

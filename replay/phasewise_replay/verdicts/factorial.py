"""Main effects and interactions of a plan whose arms are all combinations of two or more changes.

Changes combine by multiplication when they do not touch each other, so effects are ratios. An
interaction is what the changes do together over the product of what they do alone: below 1 they
help each other, above 1 a part of the saving is the same saving.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from phasewise_replay.verdicts import measures, sign_flips, statistics
from phasewise_replay.verdicts.family import judgement
from phasewise_replay.verdicts.measures import MEASURES, Measure
from phasewise_replay.verdicts.verdict import Effect

MOST_FACTORS = 4

Config = Mapping[str, object]
Changes = frozenset[tuple[str, str]]
Factors = frozenset[str]


def design(configs: Mapping[str, Config]) -> dict[str, Factors] | None:
    """Return each arm's factors, named after the arms that change one thing; the first has none.

    None where the arms are not all combinations of two to four changes.
    """
    names = list(configs)
    if not names:
        return None
    baseline = configs[names[0]]
    changes = {name: _changes(baseline, configs[name]) for name in names}
    single: dict[str, Changes] = {}
    for name in sorted(names[1:], key=lambda one: (len(changes[one]), names.index(one))):
        parts = [part for part in single.values() if part <= changes[name]]
        if frozenset().union(*parts) != changes[name]:
            single[name] = changes[name]
    found = {
        name: frozenset(one for one, part in single.items() if part <= changes[name])
        for name in names
    }
    count = len(single)
    whole = len(names) == len(set(found.values())) == 2**count
    apart = sum(map(len, single.values())) == len(frozenset().union(*single.values()))
    return found if 2 <= count <= MOST_FACTORS and whole and apart else None


def effects(calls: pl.DataFrame, factors: Mapping[str, Factors]) -> list[Effect]:
    """Return the effect of every set of factors on every measure, judged together.

    `calls` are the measured calls that every arm served.
    """
    arms = list(factors)
    numbered = calls.filter(pl.col("arm").is_in(arms)).with_columns(
        half=pl.col("arm").replace_strict({arm: place for place, arm in enumerate(arms)})
    )
    rows = measures.of_sessions(numbered)
    found: list[tuple[Measure, tuple[str, ...], list[float]]] = []
    sessions: list[str] = []
    for measure in MEASURES:
        table = rows.pivot(on="half", index="session_id", values=measure.name).drop_nulls()
        columns = [str(place) for place in range(len(arms))]
        if measure.unit == "share" or not set(columns) <= set(table.columns):
            continue
        values = table.select(columns).to_numpy()
        if values.shape[0] < statistics.FEWEST or values.min() <= 0:
            continue
        if found and table["session_id"].to_list() != sessions:
            continue  # joint flips need the same sessions
        sessions = table["session_id"].to_list()
        for chosen in _sets(sorted(frozenset().union(*factors.values()))):
            weights = np.array([_weight(factors[arm], chosen, len(arms)) for arm in arms])
            found.append((measure, chosen, (np.log(values) @ weights).tolist()))
    if not found:
        return []
    changes = np.column_stack([values for _, _, values in found])
    tests = zip(found, sign_flips.p_values(changes), sign_flips.adjusted(changes), strict=True)
    return [_effect(*one, p_value, adjusted_p) for one, p_value, adjusted_p in tests]


def _changes(baseline: Config, arm: Config) -> Changes:
    names = (baseline.keys() | arm.keys()) - {"name"}
    return frozenset(
        (name, repr(arm.get(name))) for name in names if baseline.get(name) != arm.get(name)
    )


def _sets(factors: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(1, len(factors) + 1):
        yield from combinations(factors, size)


def _weight(have: Factors, chosen: tuple[str, ...], arms: int) -> float:
    """Return an arm's part in the contrast of a set of factors."""
    sign = math.prod(1 if one in have else -1 for one in chosen)
    return float(sign * 2 ** len(chosen)) / arms


def _effect(
    measure: Measure,
    chosen: tuple[str, ...],
    logs: list[float],
    p_value: float,
    adjusted_p: float,
) -> Effect:
    interval = statistics.mean_interval(logs)
    return Effect(
        measure=measure.name,
        title=measure.title,
        factors=chosen,
        ratio=math.exp(sum(logs) / len(logs)),
        ci95=None if interval is None else (math.exp(interval.low), math.exp(interval.high)),
        adjusted_p=adjusted_p,
        sessions=len(logs),
        verdict=judgement(interval, p_value, adjusted_p, sessions=len(logs)),
    )

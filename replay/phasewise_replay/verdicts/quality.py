"""Quality gate: whether an arm changes answers, judged against the baseline's own noise.

Every answer is compared with the baseline's to the same prompt, and the baseline's blocks with each
other: the same configuration need not write the same twice. An arm fails when sessions differ
from the baseline more often than the baseline from itself.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

import numpy as np
import orjson
import polars as pl

from phasewise_replay.verdicts import sign_flips, statistics
from phasewise_replay.verdicts.verdict import Quality

LEVEL = 0.05
# https://huggingface.co/docs/transformers/chat_extras: the form that Hermes and Qwen write
_MARKED = re.compile(r"<tool_call>\s*(?P<call>\{.*?\})\s*</tool_call>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Output:
    """What an engine wrote."""

    text: str
    tool_calls: tuple[tuple[str, str], ...]
    """name and arguments, as JSON with sorted keys where they are JSON"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers to the same prompt."""

    exact: bool
    calls_tools: bool
    """either has a tool call"""
    same_tools: bool
    same_arguments: bool
    divergence: int | None
    """characters that are the same from the start; None where all are"""
    length_ratio: float | None


def read(output: str) -> Output:
    """Read an output as stored; tool calls may also stand in its text."""
    found = orjson.loads(output)
    calls = [(str(name), _canonical(arguments)) for name, arguments in found["tool_calls"]]
    for match in _MARKED.finditer(found["text"]):
        try:
            call = orjson.loads(match["call"])
        except orjson.JSONDecodeError:
            continue
        calls.append((str(call.get("name")), _canonical(call.get("arguments"))))
    return Output(found["text"], tuple(calls))


def _canonical(arguments: object) -> str:
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return str(arguments)
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()


def compared(one: Output, two: Output) -> Comparison:
    """Compare two answers."""
    pairs = zip(one.text, two.text, strict=False)
    shorter = min(len(one.text), len(two.text))
    divergence = next((place for place, (a, b) in enumerate(pairs) if a != b), shorter)
    names = [[name for name, _ in output.tool_calls] for output in (one, two)]
    return Comparison(
        exact=one == two,
        calls_tools=bool(one.tool_calls or two.tool_calls),
        same_tools=names[0] == names[1],
        same_arguments=one.tool_calls == two.tool_calls,
        divergence=None if one.text == two.text else divergence,
        length_ratio=len(two.text) / len(one.text) if one.text else None,
    )


def judge(calls: pl.DataFrame, arms: Sequence[str]) -> tuple[Quality, ...]:
    """Return the quality of every arm, the baseline's own noise first; `arms[0]` is the baseline.

    `calls` are those that every block served.
    """
    outputs = _outputs(calls)
    noise = _by_session(outputs, arms[0], arms[0])
    found = [(arms[0], noise)] + [(arm, _by_session(outputs, arms[0], arm)) for arm in arms[1:]]
    sessions = sorted(noise)
    own = {session: _share(noise[session]) for session in sessions}
    excess = np.array(
        [
            [own[session] - _share(theirs.get(session, ())) for _, theirs in found[1:]]
            for session in sessions
        ]
    )
    enough = len(sessions) >= statistics.FEWEST and excess.size > 0
    adjusted = sign_flips.adjusted(excess) if enough else [None] * (len(found) - 1)
    return tuple(
        _quality(arm, theirs, None if place == 0 else excess[:, place - 1], p_value)
        for place, ((arm, theirs), p_value) in enumerate(zip(found, [None, *adjusted], strict=True))
    )


Outputs = Mapping[tuple[str, str], Mapping[int, tuple[str, Output]]]
"""by arm and call: by block, the session and the answer"""


def _outputs(calls: pl.DataFrame) -> Outputs:
    found: dict[tuple[str, str], dict[int, tuple[str, Output]]] = {}
    for row in calls.filter(pl.col("output").is_not_null()).iter_rows(named=True):
        by_block = found.setdefault((row["arm"], row["call_id"]), {})
        by_block[row["block"]] = (row["session_id"], read(row["output"]))
    return found


def _by_session(outputs: Outputs, baseline: str, arm: str) -> dict[str, list[Comparison]]:
    """Compare every block of an arm with every block of the baseline, call by call."""
    found: dict[str, list[Comparison]] = {}
    for (name, call_id), ours in outputs.items():
        if name != baseline:
            continue
        for session, one, two in _pairs(ours, outputs.get((arm, call_id), {}), arm == baseline):
            found.setdefault(session, []).append(compared(one, two))
    return found


def _pairs(
    ours: Mapping[int, tuple[str, Output]],
    theirs: Mapping[int, tuple[str, Output]],
    same: bool,
) -> Iterator[tuple[str, Output, Output]]:
    both = combinations(ours, 2) if same else ((one, two) for one in ours for two in theirs)
    for one, two in both:
        session, output = ours[one]
        yield session, output, theirs[two][1]


def _share(found: Sequence[Comparison]) -> float:
    return fmean(one.exact for one in found) if found else 0.0


def _quality(
    arm: str,
    found: Mapping[str, Sequence[Comparison]],
    excess: "np.ndarray[tuple[int], np.dtype[np.float64]] | None",
    adjusted_p: float | None,
) -> Quality:
    every = [one for comparisons in found.values() for one in comparisons]
    with_tools = [one for one in every if one.calls_tools]
    divergences = [one.divergence for one in every if one.divergence is not None]
    ratios = [one.length_ratio for one in every if one.length_ratio is not None]
    interval = None if excess is None else statistics.mean_interval(excess.tolist())
    passed: bool | None = None
    if excess is not None:
        if not excess.any():
            passed = True
        elif interval is not None and adjusted_p is not None:
            passed = not (interval.low > 0 and adjusted_p <= LEVEL)
    return Quality(
        arm=arm,
        comparisons=len(every),
        exact=fmean(one.exact for one in every) if every else None,
        same_tools=fmean(one.same_tools for one in with_tools) if with_tools else None,
        same_arguments=fmean(one.same_arguments for one in with_tools) if with_tools else None,
        divergence=median(divergences) if divergences else None,
        length_ratio=fmean(ratios) if ratios else None,
        excess_ci95=None if interval is None else (interval.low, interval.high),
        adjusted_p=adjusted_p,
        passed=passed,
    )

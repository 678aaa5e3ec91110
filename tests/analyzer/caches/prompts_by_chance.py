"""Random traffic for the properties that hold of every cache."""

from dataclasses import dataclass

from hypothesis import strategies as st
from phasewise_analyzer.caches.prompt_cache import Asked, Marker

from tests.analyzer.caches.prompts_for_tests import Part, Prompts


@dataclass(frozen=True)
class Sending:
    """One call before its prefixes are numbered."""

    prompt: tuple[Part, ...]
    pause_s: int
    answers_s: int
    marked: tuple[Marker, ...] | None
    settings: tuple[int, int, int]
    sharding: int


def _prompt(names: list[tuple[int, bool]], tools: int, system: int) -> tuple[Part, ...]:
    tiers = [0] * tools + [1] * system
    tiers += [2] * len(names)
    # the size belongs to the name, so that equal names are equal segments
    return tuple(
        Part(name, SIZES[name], tier, whole)
        for (name, whole), tier in zip(names, tiers, strict=False)
    )


SIZES = (3, 16, 37, 200, 1100)
"""tokens of a segment, by its name"""

places = st.lists(
    st.tuples(st.integers(0, len(SIZES) - 1), st.sampled_from((True, True, True, False))),
    max_size=10,
)
markers = st.none() | st.lists(
    st.builds(Marker, st.integers(0, 9), st.sampled_from((None, "5m", "1h", "30m"))), max_size=5
).map(tuple)
sendings = st.builds(
    Sending,
    prompt=st.builds(_prompt, places, st.integers(0, 2), st.integers(0, 2)),
    pause_s=st.integers(0, 400),
    answers_s=st.integers(0, 60),
    marked=markers,
    settings=st.tuples(*[st.sampled_from((0, 0, 0, 1))] * 3),
    sharding=st.sampled_from((0, 0, 1)),
)
traffic = st.lists(sendings, max_size=14)


def asked(calls: list[Sending]) -> list[Asked]:
    """Make calls of them that start one after another."""
    prompts = Prompts()
    now_s = 0
    found = []
    for one in calls:
        now_s += one.pause_s
        inside = None
        if one.marked is not None:
            inside = [mark for mark in one.marked if mark.place < len(one.prompt)]
        found.append(
            prompts.asked(
                one.prompt,
                now_s,
                answers_s=one.answers_s,
                marked=inside,
                settings=one.settings,
                sharding=one.sharding,
            )
        )
    return found


def sent_before(calls: list[Asked]) -> list[int]:
    """Give, by comparing with every earlier call, how many tokens of each had been sent before."""
    found = []
    for here, call in enumerate(calls):
        known = {number for other in calls[:here] for number in other.path}
        ends = [end for number, end in zip(call.path, call.ends, strict=True) if number in known]
        found.append(max(ends, default=0))
    return found

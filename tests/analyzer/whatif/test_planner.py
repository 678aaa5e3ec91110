"""The breakpoint planner against the naive placement, and against brute force on small cases."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.caches import book, families
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Marker
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.prices import PriceBook, Rates
from phasewise_analyzer.whatif.candidates import CLASSES, EVERY, STRIDE, placements, spots
from phasewise_analyzer.whatif.planner import Planned, plan, plans, shortened
from phasewise_analyzer.whatif.repricing import Books, Calls
from phasewise_store.store import Store

from tests.analyzer.caches.prompts_for_tests import Part, Prompts
from tests.analyzer.whatif.conversations import message, tool, turns, without_clock, written

BOOKS = Books(book.read(), PriceBook())
POLICY = replace(BOOKS.rules.named("anthropic/sonnet-4.5"), min_tokens=100)
RATES = Rates(
    Decimal(3), Decimal("0.3"), Decimal("3.75"), Decimal(6), output=Decimal(0), reasoning=Decimal(0)
)


def planned(calls: Sequence[Asked]) -> list[Planned]:
    """Make the calls of one stream ready."""
    before: Asked | None = None
    made = []
    for asked in calls:
        made.append(Planned(spots(asked, before), RATES, "s"))
        before = asked
    return made


def cost_by_hand(calls: Sequence[Planned], policy: Policy, marks: dict[str, str]) -> Decimal:
    """Ask a fresh cache and price what it serves with plain arithmetic."""
    cache = families.make(policy)
    total = Decimal(0)
    for one in calls:
        markers: dict[int, str] = {}
        for name in CLASSES:
            if name in marks and name in one.spots.place:
                markers.setdefault(one.spots.place[name], marks[name])
        asked = replace(
            one.asked, markers=tuple(Marker(place, life) for place, life in sorted(markers.items()))
        )
        served = cache.serve(asked)
        total += served.read * Decimal("0.3") + served.uncached(asked.tokens) * Decimal(3)
        total += served.written.get("5m", 0) * Decimal("3.75") + served.written.get("1h", 0) * 6
    return total / 10**6


def brute_force(calls: Sequence[Planned], policy: Policy) -> Decimal:
    """Try every set of at most four classes with every order of lifetimes that falls."""
    length = {"5m": 1, "1h": 2}
    best = None
    for size in range(5):
        for chosen in combinations(CLASSES, size):
            for lives in product(length, repeat=size):
                if list(lives) != sorted(lives, key=lambda life: -length[life]):
                    continue
                cost = cost_by_hand(calls, policy, dict(zip(chosen, lives, strict=True)))
                best = cost if best is None else min(best, cost)
    assert best is not None
    return best


@st.composite
def conversations(draw: st.DrawFn) -> list[Asked]:
    """Give a stream of growing prompts with pauses, whose system prompt may change on the way."""
    made = Prompts()
    history: list[Part] = []
    calls = []
    at_s = 0.0
    for step in range(draw(st.integers(1, 6))):
        at_s += draw(st.sampled_from([10, 200, 400, 4000]))
        grown = draw(st.integers(1, 8))
        history += [Part((step, place), draw(st.integers(20, 200))) for place in range(grown)]
        changed = draw(st.sampled_from([0, 0, step]))
        front = [Part("tool", 150, 0), Part(("system", changed), 300, 1)]
        calls.append(made.asked([*front, *history], at_s))
    return calls


@given(conversations())
@settings(max_examples=40, deadline=None)
def test_the_plan_is_as_cheap_as_any_and_never_dearer_than_the_naive_one(
    calls: list[Asked],
) -> None:
    """On random conversations the best placement costs what brute force finds."""
    ready = planned(calls)
    found = plan(ready, POLICY, "a")
    assert found.in_usd
    assert found.best.cost == brute_force(ready, POLICY)
    assert found.best.cost <= found.naive.cost
    assert cost_by_hand(ready, POLICY, dict(found.best.marks)) == found.best.cost
    assert len(found.best.marks) <= 4


def test_long_turns_want_a_breakpoint_in_between() -> None:
    """With 25 segments a turn, the last segment alone looks back too short; every 15th does not."""
    made = Prompts()
    history: list[Part] = []
    calls = []
    for step in range(6):
        history += [Part((step, place), 100) for place in range(25)]
        calls.append(made.asked([Part("system", 300, 1), *history], step * 60.0))
    found = plan(planned(calls), POLICY, "a")
    assert found.best.cost < found.naive.cost
    assert {STRIDE, "previous prompt's end"} & {name for name, _ in found.best.marks}
    assert found.best.cached > found.naive.cached


def test_prompts_that_share_nothing_want_no_breakpoint() -> None:
    """Where every write is in vain, the cheapest is to write nothing."""
    made = Prompts()
    calls = [made.asked([Part(step, 500)], step * 60.0) for step in range(4)]
    found = plan(planned(calls), POLICY, "a")
    assert found.best.marks == ()
    assert found.best.cost == 4 * 500 * Decimal(3) / 10**6


def test_no_lifetime_is_followed_by_a_longer_one() -> None:
    """Of the placements none repeats, none is too long, and longer lifetimes stand in front."""
    every = list(placements(CLASSES, ["1h", "5m"], 4))
    assert len(every) == len(set(every))
    for marks in every:
        lives = [life for _, life in marks]
        assert lives == sorted(lives)  # `1h` sorts before `5m`
        assert len(marks) <= 4
        order = [CLASSES.index(name) for name, _ in marks]
        assert order == sorted(set(order))


def test_a_call_has_the_places_that_its_segments_give(store: Store) -> None:
    """Tools, system prompt, the previous prompt's end and the last segment are where they are."""
    prompts = turns(EVERY, without_clock, lambda step: [tool("search"), tool(f"book{step * 0}")])
    written(store, prompts)
    *_, previous, last = (one.asked for one in Requests(store))
    found = spots(last, previous).place
    segments = [place for place, ends in enumerate(last.whole) if ends]
    assert [segments.index(found[name]) for name in CLASSES] == [
        1,
        2,
        2 + (len(prompts[-1]) - 3) // EVERY * EVERY,
        len(prompts[-2]) - 1,
        len(prompts[-1]) - 1,
    ]


def test_a_stored_agent_is_planned_against_what_it_sent(store: Store) -> None:
    """Recorded markers make the row of what was sent; an agent under other rules has no plan."""
    prompts = turns(5, without_clock)
    written(store, prompts, request={"cache_markers": [[0, None]]}, gap_s=400)
    written(
        store, [(message("user", "hi"),)], session="t", provider="deepseek", model="deepseek-chat"
    )
    (found,) = plans(Calls(Requests(store)), BOOKS)
    assert (found.agent, found.policy, found.calls) == ("a", "anthropic/sonnet-4.5", 5)
    assert found.sent is not None
    assert found.best.cost < min(found.sent.cost, found.naive.cost)
    assert all(life == "1h" for _, life in found.best.marks)


@pytest.mark.parametrize(("most", "kept"), [(1, 3), (3, 3), (5, 5), (99, 9)])
def test_long_agents_are_cut_at_a_session_s_end(most: int, kept: int) -> None:
    """Whole sessions from the front, at least one."""
    made = Prompts()
    asked = made.asked([Part("x", 1)])
    sessions = ["a", "a", "a", "b", "b", "c", "c", "c", "c"]
    calls = [Planned(spots(asked, None), None, name) for name in sessions]
    assert len(shortened(calls, most)) == kept

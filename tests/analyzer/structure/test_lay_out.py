"""An agent's prompt by stability: what is static, what changes, and what the order costs."""

import json
from decimal import Decimal

import pytest
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.structure import slots
from phasewise_analyzer.structure.lay_out import lay_out
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment, Usage
from phasewise_store.scope import Scope
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, write_calls

RULES = "Be kind, be brief, and never promise what you cannot keep. " * 40
GUIDE = "If a customer asks for a refund, look the order up first. " * 40


def prompt(clock: str, user: str) -> tuple[Segment, ...]:
    """Make a prompt with a clock between two static texts, and a user's name behind them."""
    tool = {"name": "search", "description": RULES[:600]}
    said = f"{RULES}The time is {clock} now. {GUIDE}"
    system = {"role": "system", "content": said}
    return (
        text_segment("tool", json.dumps(tool)),
        text_segment("system", json.dumps(system), "system"),
        text_segment("message", json.dumps({"role": "user", "content": f"I am {user}"}), "user"),
    )


def test_a_clock_in_the_middle_is_a_block_and_shall_move(store: Store) -> None:
    """The guide behind the clock is static, and paid for on every call where it stands."""
    for session in ("s", "t", "u"):
        prompts = [prompt(f"09:{minute}:{ord(session)}", session) for minute in range(10, 14)]
        usages = [
            Usage(uncached_tokens=sum(part.tokens for part in one), cache_reported=False)
            for one in prompts
        ]
        write_calls(
            store, prompts, usages=usages, session=session, provider="openai", model="gpt-4o"
        )
    analyse(store)
    found = lay_out(store, Scope(agent="a"))
    assert [(one.label, one.stability, one.should_move) for one in found.blocks] == [
        ("tool search", "static", False),
        ("system 0, beginning", "static", False),
        ("system 0, what differs", "call", True),
        ("system 0, end", "static", False),
        ("message 0", "session", False),
    ]
    clock, guide = found.blocks[2], found.blocks[3]
    assert (clock.values, guide.values, guide.calls) == (12, 1, 12)
    assert guide.resent_tokens == 11 * guide.tokens
    assert clock.resent_tokens == 0
    # 2.50 USD a million uncached, 1.25 from the cache: once in full, eleven times for half
    rate = Decimal(guide.tokens) / 10**6
    assert guide.usd_here == rate * 12 * Decimal("2.5")
    assert guide.usd_there == rate * (Decimal("2.5") + 11 * Decimal("1.25"))
    assert found.usd_here is not None
    assert found.usd_there is not None
    assert found.usd_there < found.usd_here


def test_a_prompt_in_order_costs_the_same_in_order(store: Store) -> None:
    """Nothing is to be moved, and both sums are one."""
    prompts = [prompt("noon", name) for name in ("ann", "bob", "cy")]
    write_calls(store, prompts, provider="openai", model="gpt-4o")
    analyse(store)
    found = lay_out(store, Scope(agent="a"))
    assert not any(one.should_move for one in found.blocks)
    assert found.usd_here == found.usd_there


def test_tools_in_another_order_are_paid_for_again(store: Store) -> None:
    """Each tool is the same; that the list is turned round costs all of it, and is seen."""
    tools = [
        text_segment("tool", json.dumps({"name": name, "description": RULES[:600]}))
        for name in ("search", "write")
    ]
    for session, order in (("s", tools), ("t", tools), ("u", tools[::-1])):
        write_calls(store, [tuple(order)], session=session, provider="openai", model="gpt-4o")
    analyse(store)
    found = lay_out(store, Scope(agent="a"))
    assert [(one.label, one.stability) for one in found.blocks] == [
        ("tool write", "static"),
        ("tool search", "static"),
    ]
    assert all(one.resent_tokens == one.tokens for one in found.blocks)
    assert found.usd_here is not None
    assert found.usd_there is not None
    assert found.usd_there < found.usd_here


def test_hashes_cannot_be_laid_out(store: Store) -> None:
    """Of hashed blocks nothing is known but that they differ."""
    write_calls(store, [blocks([1, 2, 3])], block_tokens=16)
    assert lay_out(store, Scope(agent="a")).hidden


def test_one_agent_is_asked_for_at_a_time(store: Store) -> None:
    """Two agents have two templates; none has none."""
    write_calls(store, [prompt("noon", "ann")] * 2, agents=["a", "b"])
    with pytest.raises(UsageError, match="a, b"):
        lay_out(store, Scope())
    with pytest.raises(UsageError, match="phasewise agents"):
        lay_out(store, Scope(agent="c"))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["same", "same"], (0, 0)),
        ([RULES + "one " + GUIDE, RULES + "two " + GUIDE], (len(RULES), len(GUIDE))),
        (["short a", "short b"], (0, 0)),
        ([RULES + "\nAlpha", RULES + "\nBeta"], (len(RULES) + 1, 0)),
        (["", RULES], (0, 0)),
    ],
)
def test_texts_are_cut_at_whole_words(texts: list[str], expected: tuple[int, int]) -> None:
    """What all start and end with, where that is worth a block."""
    found = slots.cut(texts)
    assert (found.head, found.tail) == pytest.approx(expected, abs=2)

"""Repaired prompts against traces that were written without the fault in the first place."""

from pathlib import Path

import pytest
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.prices import PriceBook
from phasewise_analyzer.whatif import layout
from phasewise_analyzer.whatif.facts import Outcome
from phasewise_analyzer.whatif.frozen_values import frozen
from phasewise_analyzer.whatif.repairing import Rules, repaired, repairs, simulated
from phasewise_analyzer.whatif.repairs import REMEDIES, chosen
from phasewise_analyzer.whatif.repricing import Books, outcomes
from phasewise_analyzer.whatif.scenario import OWN, Scenario
from phasewise_collector.importing import import_paths
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.whatif.conversations import (
    RULES,
    found,
    message,
    tool,
    turns,
    with_clock,
    written,
)

BOOKS = Books(book.read(), PriceBook())
RULES_OF_ALL = Rules(OWN, BOOKS)
LONG = Scenario("lifetime 1h", lifetime="1h")


def own(store: Store) -> Outcome:
    """Simulate a store by its calls' own rules."""
    return outcomes(Requests(store), [OWN], BOOKS)[0]


def two_orders(step: int) -> list[Segment]:
    """Give three tools, in another order at every other call."""
    tools = [tool("search"), tool("book"), tool("cancel")]
    return tools if step % 2 else tools[::-1]


def written_by_hand(calls: int) -> list[tuple[Segment, ...]]:
    """Give the conversation as an agent would send it that appends the time to each question."""
    prompts = []
    for prompt in turns(calls, with_clock):
        system, *history = prompt
        kept = message("system", f"You help customers.\nCurrent time:  \n{RULES}")
        laid = [kept]
        for place, part in enumerate(history):
            text = (part.content or b"").decode()
            step = place // 2
            clock = f"Current time: 2026-09-2{step} 10:1{step}:0{step}"
            if part.role == "user":
                text = text.removesuffix('"}') + f'\\n\\n{clock}"}}'
                laid.append(text_segment("message", text, "user"))
            else:
                laid.append(part)
        assert system.role == "system"
        prompts.append(tuple(laid))
    return prompts


def test_a_clock_that_is_moved_equals_a_trace_that_never_had_it(store: Store) -> None:
    """The repair of an injected clock gives what an agent without the fault would have had."""
    written(store, turns(6, with_clock))
    analyse(store)
    made = repairs(layout.read(store), found(store), chosen(["clock"]), RULES_OF_ALL)
    with Store.in_memory() as clean:
        written(clean, written_by_hand(6))
        expected = own(clean)
    (row,) = made.repaired
    assert (row.cause, row.changed_calls) == (causes.CLOCK, 6)
    assert row.alone.spent == expected.spent
    assert row.alone.money == expected.money
    saved = row.alone.saved_usd(own(store))
    assert saved is not None and saved > 0
    assert row.risk


def test_a_value_that_is_frozen_equals_a_trace_with_that_value_throughout(store: Store) -> None:
    """Frozen at the session's first value: the same tokens and money as one written so."""
    written(store, turns(6, with_clock))
    laid = frozen(layout.read(store), {"a": ["system[0]"]})
    (made,) = simulated(laid, [OWN], RULES_OF_ALL)
    with Store.in_memory() as clean:
        written(clean, turns(6, lambda step: with_clock(step * 0)))
        expected = own(clean)
    assert (made.spent, made.money) == (expected.spent, expected.money)
    assert made.spent.read > own(store).spent.read


def test_repairs_are_simulated_together_and_not_added(store: Store) -> None:
    """Behind a clock, sorted tools save nothing alone; with it repaired, they save most of all."""
    written(store, turns(8, with_clock, two_orders))
    analyse(store)
    base = own(store)
    made = repairs(layout.read(store), found(store), chosen(["all"]), Rules(OWN, BOOKS, None, LONG))
    by_cause = {row.cause: row for row in made.repaired}
    assert set(by_cause) == {causes.CLOCK, causes.TOOLS_REORDERED}
    singles = [row.alone.saved_usd(base) for row in made.repaired]
    assert made.together is not None
    together = made.together.saved_usd(base)
    assert together is not None
    assert together != sum(one for one in singles if one is not None)
    assert together > max(one for one in singles if one is not None)
    assert made.repaired[-1].added.spent == made.together.spent
    assert made.repaired[0].added.spent == made.repaired[0].alone.spent
    assert made.together_longest is not None


@pytest.mark.parametrize("trace", ["tau2-bench", "pi-mono", "lmcache-agent-trace"])
def test_prompts_that_are_not_changed_give_what_was_recorded(
    shared_traces: Path, store: Store, trace: str
) -> None:
    """Through a store of their own, real calls keep their tokens, reads and money."""
    import_paths(store, [shared_traces / trace])
    (made,) = simulated(layout.read(store), [OWN], RULES_OF_ALL)
    assert made == own(store)


def test_repairing_a_real_trace_keeps_its_calls(shared_traces: Path, store: Store) -> None:
    """All repairs of all that is found: as many calls, no negative count, and one outcome each."""
    import_paths(store, [shared_traces / "lmcache-agent-trace"])
    analyse(store)
    laid = layout.read(store)
    made = repairs(laid, found(store), chosen(["all"]), RULES_OF_ALL)
    assert len({row.cause for row in made.repaired}) == len(made.repaired)
    for row in made.repaired:
        for outcome in (row.alone, row.added):
            assert outcome.calls == len(laid)
            assert min(outcome.spent.read, outcome.spent.uncached) >= 0


def test_a_repair_is_the_same_each_time_it_is_made(store: Store) -> None:
    """Repairing is a pure function, and a repaired trace has nothing left of the fault."""
    written(store, turns(6, with_clock, two_orders))
    analyse(store)
    laid = layout.read(store)
    findings = found(store)
    once = repaired(laid, findings, chosen(["all"]))
    assert once == repaired(laid, findings, chosen(["all"]))
    with Store.in_memory() as scratch:
        layout.write(scratch, once)
        analyse(scratch)
        left = {one.cause for one in found(scratch)}
    assert not left & set(REMEDIES)


def test_a_cause_that_nobody_can_repair_is_refused() -> None:
    """The error lists the causes that have a repair."""
    with pytest.raises(UsageError, match="clock"):
        chosen(["weather"])

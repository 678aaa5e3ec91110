"""Calls that are judged as they come have the rows of a whole data set that is judged at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.analyse import Memory, analyse, analyse_again
from phasewise_store import findings, reanalyses
from phasewise_store.facts import Agent, Batch, LlmCall, Session, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store
from polars.testing import assert_frame_equal

from tests.analyzer.facts_for_tests import SOURCE, blocks

START_NS = 1_790_000_000 * 10**9
SELLERS = {
    "anthropic": "claude-sonnet-4-5",
    "openai": "gpt-5.4",
    "deepseek": "deepseek-chat",
    "vllm": "served",
    "nobody": "unknown",
}
FILL = "Words that stand here so that a cache finds this prompt worth keeping. " * 100


@dataclass(frozen=True)
class Made:
    """A call as hypothesis makes it."""

    session: int
    agent: str
    seller: str
    parts: tuple[tuple[str, str], ...]
    """role and text of each segment"""
    gap_s: float
    takes_s: float
    read: float
    """of the prompt, from the cache"""


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["system", "user", "assistant"]),
        st.sampled_from(["", "At noon. ", "At one. "]),
        st.sampled_from(["alpha", "beta", "alpha beta"]),
    ),
    min_size=1,
    max_size=4,
).map(
    lambda parts: tuple(
        (role, f"{FILL[: 700 * place]} {front}{FILL}{end}" if place < 1 else f"{front}{FILL}{end}")
        for place, (role, front, end) in enumerate(parts)
    )
)
CALLS = st.lists(
    st.builds(
        Made,
        session=st.integers(0, 1),
        agent=st.sampled_from(["main", "sub"]),
        seller=st.sampled_from(sorted(SELLERS)),
        parts=PARTS,
        gap_s=st.sampled_from([0.0, 0.5, 2.0, 400.0, 4000.0]),
        takes_s=st.sampled_from([0.1, 1.0, 60.0]),
        read=st.sampled_from([0.0, 0.5, 1.0]),
    ),
    min_size=2,
    max_size=9,
)


def calls_of(made: Sequence[Made]) -> list[LlmCall]:
    """Make facts: each call's reported total is what its text is estimated at."""
    starts = accumulate(one.gap_s for one in made)
    found = []
    for step, (one, start_s) in enumerate(zip(made, starts, strict=True)):
        prompt = tuple(
            text_segment("system" if role == "system" else "message", text, role)
            for role, text in one.parts
        )
        total = sum(part.tokens for part in prompt)
        read = int(total * one.read)
        found.append(
            LlmCall(
                call_id=f"c{step}",
                session_id=f"s{one.session}",
                agent_id=f"s{one.session}/{one.agent}",
                step=step,
                provider=one.seller,
                model=SELLERS[one.seller],
                started_ns=START_NS + int(start_s * 1e9),
                ttft_ns=int(one.takes_s * 1e9),
                usage=Usage(uncached_tokens=total - read, cache_read_tokens=read, output_tokens=3),
                prompt=prompt,
            )
        )
    return found


def write(store: Store, calls: Sequence[LlmCall]) -> None:
    """Write them with their sessions and agents: `sub` is a sub-agent of `main`."""
    sessions = sorted({call.session_id for call in calls})
    agents = [
        Agent(f"{name}/{role}", name, role, f"{name}/main" if role == "sub" else None)
        for name in sessions
        for role in ("main", "sub")
    ]
    store.write(
        Batch(
            SOURCE,
            sessions=tuple(Session(name) for name in sessions),
            agents=tuple(agents),
            llm_calls=tuple(calls),
        )
    )


def live(store: Store, calls: Sequence[LlmCall], sizes: Sequence[int], restart: bool) -> None:
    """Write and analyse calls in batches of these sizes, over and over."""
    memory, start, turn = Memory(), 0, 0
    while start < len(calls):
        size = sizes[turn % len(sizes)]
        write(store, calls[start : start + size])
        analyse(store, memory=memory)
        memory = Memory() if restart else memory
        start, turn = start + size, turn + 1


def assert_same(one: Store, other: Store) -> None:
    """All rows of both, but for the number of their cells."""
    for read in (findings.of_calls, findings.breaks):
        left, right = (read(store).drop("cell_id") for store in (one, other))
        assert_frame_equal(left, right)


@pytest.mark.slow
@given(CALLS, st.lists(st.integers(1, 4), min_size=1, max_size=3), st.booleans())
@settings(max_examples=20, deadline=None)
def test_batch_by_batch_is_all_at_once(made: list[Made], sizes: list[int], restart: bool) -> None:
    """However calls are cut into batches, and wherever the process starts anew."""
    calls = calls_of(made)
    with Store.in_memory() as grown, Store.in_memory() as single, Store.in_memory() as whole:
        live(grown, calls, sizes, restart)
        live(single, calls, [len(calls)], False)
        write(whole, calls)
        analyse(whole)
        assert_same(grown, single)
        assert_same(grown, whole)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 3), min_size=1, max_size=8),
            st.sampled_from(["openai", "deepseek", "vllm"]),
            st.sampled_from([0.0, 1.0, 400.0]),
        ),
        min_size=2,
        max_size=9,
    ),
    st.integers(1, 4),
)
@settings(max_examples=15, deadline=None)
def test_hashed_blocks_too(calls: list[tuple[list[int], str, float]], size: int) -> None:
    """Traces that carry hashes: their tokens are exact."""
    starts = accumulate(gap_s for _, _, gap_s in calls)
    made = [
        LlmCall(
            call_id=f"c{step}",
            session_id=f"s{step % 2}",
            agent_id=f"s{step % 2}/main",
            step=step,
            provider=seller,
            model=SELLERS[seller],
            started_ns=START_NS + int(start_s * 1e9),
            usage=Usage(uncached_tokens=512 * len(ids), output_tokens=1),
            prompt=blocks(ids, 512),
            block_tokens=512,
        )
        for step, ((ids, seller, _), start_s) in enumerate(zip(calls, starts, strict=True))
    ]
    with Store.in_memory() as grown, Store.in_memory() as whole:
        live(grown, made, [size], False)
        write(whole, made)
        analyse(whole)
        assert_same(grown, whole)


def test_a_call_that_is_described_again_keeps_its_predecessors(store: Store) -> None:
    """What comes later is not taken for what was sent before it."""
    parts = (("system", FILL), ("user", "one"))
    calls = calls_of(
        [
            Made(0, "main", "openai", parts, 0.0, 0.1, 0.0),
            Made(0, "main", "openai", (*parts, ("user", "two")), 5.0, 0.1, 0.0),
        ]
    )
    memory = Memory()
    write(store, calls)
    analyse(store, memory=memory)
    before = findings.of_calls(store)
    assert (before["sent_before"] > 0).to_list() == [False, True]
    store.rewrite(Batch(SOURCE, llm_calls=(calls[0],)))
    assert findings.of_calls(store).height == 1
    analyse(store, memory=memory)
    assert_frame_equal(findings.of_calls(store), before)


def test_rows_stay_until_another_version_is_done(store: Store) -> None:
    """What an older price list or policy said is replaced whole, by the same call."""
    write(store, calls_of([Made(0, "main", "openai", (("user", FILL),), 0.0, 0.1, 0.0)] * 2))
    analyse(store)
    made = findings.of_calls(store)
    with store.transaction() as connection:
        connection.execute("UPDATE analysed_sources SET version = 'older'")
        connection.execute("UPDATE call_costs SET prefill_usd = 0")
        connection.execute("UPDATE call_findings SET sent_before = 0")
    analyse(store, memory=Memory())
    assert findings.of_calls(store)["sent_before"].to_list() == [0, 0]
    assert analyse(store) == 2
    assert_frame_equal(findings.of_calls(store), made)
    assert store.frame("SELECT min(prefill_usd) FROM call_costs").item() > 0
    assert analyse(store) == 0


def test_an_analysis_by_another_version_says_how_far_it_is(store: Store) -> None:
    """Its data set is noted when it begins, its calls as they are done, and nothing at its end."""
    write(store, calls_of([Made(0, "main", "openai", (("user", FILL),), 0.0, 0.1, 0.0)] * 3))
    analyse(store)
    with store.transaction() as connection:
        connection.execute("UPDATE analysed_sources SET version = 'older'")
    seen: list[tuple[str, int, int]] = []

    def look() -> bool:
        found = reanalyses.under_way(store)
        assert found is not None
        seen.append((found.version, found.done_calls, found.calls))
        return len(seen) < 2

    assert reanalyses.under_way(store) is None
    analyse_again(store, go_on=look)
    assert seen[0] == ("older", 0, 3)
    analyse_again(store, go_on=lambda: True)
    assert reanalyses.under_way(store) is None
    assert analyse(store) == 0

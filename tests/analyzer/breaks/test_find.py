"""Breaks in stored sessions: which call is compared with which, what is lost, what it costs."""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.breaks.facts import Break, Breaks
from phasewise_analyzer.breaks.find import find
from phasewise_analyzer.caches import book
from phasewise_collector.importing import import_paths
from phasewise_store.facts import Agent, Batch, Segment, Session, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import SOURCE, write_calls

LONG = "The quick brown fox jumps over the lazy dog, and nobody minds at all. " * 60
MINUTE_NS = 60 * 10**9
START_NS = 1_760_000_000 * 10**9


def system(text: str) -> Segment:
    """Make a system message as a chat API takes it."""
    return text_segment("system", json.dumps({"role": "system", "content": text}), "system")


def user(text: str) -> Segment:
    """Make a user message."""
    return text_segment("message", json.dumps({"role": "user", "content": text}), "user")


def answer(text: str) -> Segment:
    """Make an answer."""
    return text_segment("message", json.dumps({"role": "assistant", "content": text}), "assistant")


def tool(name: str) -> Segment:
    """Make a tool's definition."""
    return text_segment("tool", json.dumps({"name": name, "description": LONG[:900]}))


def found_in(store: Store) -> Breaks:
    """Analyse and find."""
    analyse(store)
    return find(store, book.read())


def facts(one: Break) -> tuple[str, str, str]:
    """Give what is asserted of most breaks."""
    return one.call_id, one.cause.name, one.tier


def silent(prompts: Sequence[tuple[Segment, ...]]) -> list[Usage]:
    """Make the usage of a source that says nothing of a cache."""
    return [
        Usage(uncached_tokens=sum(part.tokens for part in prompt), cache_reported=False)
        for prompt in prompts
    ]


def conversation(head: Segment, turns: int) -> tuple[Segment, ...]:
    """Make a prompt after so many turns."""
    said = [part for n in range(turns) for part in (answer(f"answer {n}"), user(f"and {n}?"))]
    return (head, user("Hello, who are you? " + LONG[:400]), *said)


def test_a_clock_in_the_system_prompt_is_found_and_priced(store: Store) -> None:
    """Every call but the first reads all that stands behind the clock again."""
    prompts = [
        conversation(system(f"It is 2026-10-{day:02} 09:15. {LONG}"), day) for day in range(1, 6)
    ]
    write_calls(store, prompts, usages=silent(prompts), provider="openai", model="gpt-4o")
    found = found_in(store)
    assert [facts(one) for one in found.breaks] == [
        (f"s.{step}", "clock", "system") for step in range(1, 5)
    ]
    (finding,) = found.findings
    assert (finding.calls, finding.sessions, finding.place) == (4, 1, "system[0]")
    assert finding.example.before.endswith("04")
    for one in found.breaks:
        assert one.lost_tokens > 0.9 * one.expected_tokens
        # gpt-4o: 2.50 USD a million tokens uncached, half of it from the cache
        assert one.lost_usd == pytest.approx(Decimal(one.lost_tokens) * Decimal("1.25") / 10**6)
    assert finding.lost_usd == found.wasted_usd == sum(one.lost_usd or 0 for one in found.breaks)
    assert 0.7 < found.waste < 1


def test_what_only_grows_breaks_nothing(store: Store) -> None:
    """Appended turns, the same prompt again, and two conversations that take turns."""
    head = system(LONG)
    one, other = conversation(head, 1), (head, user("Something else " + LONG[:300]))
    prompts = [one, one, other, conversation(head, 2), (*other, answer("yes"), user("go on"))]
    prompts.append(conversation(head, 3))
    write_calls(store, prompts, usages=silent(prompts))
    assert found_in(store).breaks == ()


def test_going_back_is_no_waste(store: Store) -> None:
    """A rewound conversation is legitimate, and only its own end is new."""
    head = system(LONG)
    long = conversation(head, 4)
    prompts = [long, (*long[:4], user("Rather this: " + LONG))]
    write_calls(store, prompts, usages=silent(prompts))
    found = found_in(store)
    assert [one.cause.wasteful for one in found.breaks] in ([], [False])
    assert found.wasted_tokens == 0


def test_the_first_call_of_a_session_is_held_against_the_last_session_s(store: Store) -> None:
    """Tools in another order lose the whole front, although no call of the session came before."""
    tools = [tool("search"), tool("write"), tool("fetch")]
    for session, order in (("s", tools), ("t", tools[::-1]), ("u", tools[::-1])):
        prompts = [(*order, system(LONG), user(f"Hello from {session}"))]
        write_calls(store, prompts, usages=silent(prompts), session=session)
    found = found_in(store)
    assert [facts(one) for one in found.breaks] == [("t.0", "tools reordered", "tools")]


def test_a_sub_agent_is_held_against_its_parent(store: Store) -> None:
    """The same history behind a new first message is read again; in front of it, it is not."""
    long = conversation(system(LONG), 6)
    task = user("Look into it, please. " + LONG[:200])
    forks = {"b": (long[0], task, *long[1:]), "c": (*long, task)}
    prompts = [long, *forks.values()]
    children = tuple(Agent(f"s/{name}", "s", name, "s/a") for name in forks)
    store.write(Batch(SOURCE, (Session("s"),), (Agent("s/a", "s", "a"), *children)))
    write_calls(store, prompts, usages=silent(prompts), agents=["a", "b", "c"])
    found = found_in(store)
    assert [facts(one) for one in found.breaks] == [("s.1", "forked in another order", "messages")]


@pytest.mark.parametrize(
    ("said", "agreed"),
    [("system_changed", 1), ("input_changed", 1), ("tools_changed", 0), ("cache_hit", 0)],
)
def test_our_cause_is_scored_against_the_provider_s(store: Store, said: str, agreed: int) -> None:
    """Where an answer carries its own diagnosis, it is shown and compared."""
    prompts = [(system(f"It is 2026-10-0{day}. {LONG}"), user("hi")) for day in (1, 2)]
    for step, prompt in enumerate(prompts):
        write_calls(
            store,
            [prompt],
            session=f"s{step}",
            usages=silent([prompt]),
            request={"cache_diagnosis": {"reason": said}} if step else {},
        )
    found = found_in(store)
    assert [one.provider_says for one in found.breaks] == [said]
    assert (found.diagnosed_calls, found.agreed_calls) == (1, agreed)


@pytest.mark.parametrize(
    ("read", "cause", "places"),
    [
        (1024, "served in part", {""}),
        (0, "not in the trace", {"after a user message", "after an answer"}),
    ],
)
def test_what_no_rule_explains_is_told_apart_by_what_was_read(
    store: Store, read: int, cause: str, places: set[str]
) -> None:
    """Seconds after the same prompt the cache serves its beginning, or nothing at all."""
    turns = [user(LONG), answer(LONG), user(LONG), answer(LONG)]
    prompts = [(system(LONG * 2), *turns[: 1 + n]) for n in range(4)]
    sizes = [sum(part.tokens for part in prompt) for prompt in prompts]
    usages = [Usage(uncached_tokens=sizes[0])]
    usages += [Usage(uncached_tokens=size - read, cache_read_tokens=read) for size in sizes[1:]]
    starts = [START_NS + n * 5 * 10**9 for n in range(4)]
    write_calls(
        store,
        prompts,
        usages=usages,
        starts_ns=starts,
        provider="openai",
        model="gpt-4o",
        duration_ns=10**9,
    )
    found = found_in(store)
    assert {one.cause.name for one in found.breaks} == {cause}
    assert {one.place for one in found.breaks} == places
    assert all("on one machine" in one.cause.fix for one in found.breaks)


def test_another_model_reads_all_again(store: Store) -> None:
    """The prompt goes on, and the other model has never seen it."""
    prompts = [conversation(system(LONG), turns) for turns in (1, 2)]
    write_calls(store, prompts, usages=silent(prompts), models=["gpt-4o", "gpt-4.1"])
    found = found_in(store)
    assert [facts(one) for one in found.breaks] == [("s.1", "model changed", "messages")]


@pytest.mark.parametrize(("gap_minutes", "cause"), [(4, []), (30, ["lifetime"])])
def test_a_pause_longer_than_the_lifetime_is_a_miss(
    store: Store, gap_minutes: int, cause: list[str]
) -> None:
    """Claude keeps a prefix for five minutes: after half an hour it is written again."""
    prompts = [conversation(system(LONG), turns) for turns in (1, 2)]
    sizes = [sum(part.tokens for part in prompt) for prompt in prompts]
    read = sizes[0] if gap_minutes < 5 else 0
    write_calls(
        store,
        prompts,
        usages=[
            Usage(cache_write_5m_tokens=sizes[0]),
            Usage(cache_read_tokens=read, cache_write_5m_tokens=sizes[1] - read),
        ],
        starts_ns=[START_NS, START_NS + gap_minutes * MINUTE_NS],
        provider="anthropic",
        model="claude-sonnet-4-5",
    )
    found = found_in(store)
    assert [one.cause.name for one in found.breaks] == cause
    for one in found.breaks:
        assert (one.lost_tokens, one.gap_s) == (sizes[0], gap_minutes * 60)
        # 3.75 USD a million to write, 0.30 to read
        assert one.lost_usd == Decimal(sizes[0]) * Decimal("3.45") / 10**6


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.sampled_from("abc"), max_size=5)),
        min_size=2,
        max_size=8,
    )
)
@settings(max_examples=20, deadline=None)
def test_losses_stay_within_the_prompt_and_the_bill(
    calls: list[tuple[int, list[str]]],
) -> None:
    """No call loses more than it sent, costs less than nothing, or has two breaks."""
    with Store.in_memory() as store:
        prompts = [
            (system(f"{n} {LONG}"), *(user(f"{x} {LONG[:200]}") for x in m)) for n, m in calls
        ]
        write_calls(store, prompts, provider="openai", model="gpt-4o")
        found = found_in(store)
        bills = dict(store.frame("SELECT call_id, prefill_usd FROM call_costs").iter_rows())
    assert all(one == 1 for one in Counter(one.call_id for one in found.breaks).values())
    for one in found.breaks:
        assert 0 < one.lost_tokens <= one.expected_tokens
        assert one.lost_usd is not None
        assert 0 <= one.lost_usd <= bills[one.call_id]
    assert 0 <= found.waste <= 1


def test_kv_cache_tester_has_as_many_deep_breaks_as_the_reference(
    shared_traces: Path, store: Store
) -> None:
    """Calls that share less than half with the call before them, in hashes alone."""
    reference = json.loads((shared_traces / "reference.json").read_text())["kv-cache-tester"]
    some = sorted((shared_traces / "kv-cache-tester").rglob("trace_*.json.gz"))[:10]
    import_paths(store, some)
    expected = sum(reference["per_trace"][path.name]["prefix_breaks"] for path in some)
    assert found_in(store).deep_breaks == expected


@pytest.mark.slow
def test_all_of_kv_cache_tester_has_196_deep_breaks(
    shared_traces: Path, kv_cache_tester: Store
) -> None:
    """The same over all 155 traces."""
    reference = json.loads((shared_traces / "reference.json").read_text())["kv-cache-tester"]
    found = find(kv_cache_tester, book.read())
    assert found.deep_breaks == reference["prefix_breaks"] == 196


def test_pi_mono_s_full_misses_are_found_and_priced(shared_traces: Path, store: Store) -> None:
    """37 come after a user's message (the first call among them), none after a tool's result.

    The first call is no break: nothing was there to be read.
    """
    reference = json.loads((shared_traces / "reference.json").read_text())
    expected = reference["pi-mono/large-session.jsonl.gz"]
    import_paths(store, [shared_traces / "pi-mono"])
    found = found_in(store)
    misses = [one for one in found.breaks if one.read_tokens == 0]
    assert len(misses) + 1 == sum(expected["full_misses_by_preceding"].values())
    assert Counter(one.place for one in misses) == {
        "after a user message": 36,
        "after an answer": 1,
    }
    assert sum(one.lost_tokens for one in misses) == pytest.approx(
        expected["rewritten_tokens"], rel=1e-4
    )
    lost = sum((one.lost_usd or Decimal(0) for one in misses), Decimal(0))
    assert round(lost, 2) == Decimal("14.21")
    assert float(lost) == pytest.approx(expected["avoidable_usd"], abs=1e-3)
    bill = store.frame("SELECT sum(prefill_usd + decode_usd + other_usd) FROM call_costs").item()
    assert round(bill, 2) == Decimal("30.33")

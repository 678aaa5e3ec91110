"""The ledger accounts for every token and every dollar, on made and on real traces."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.ledger import facts
from phasewise_analyzer.ledger.accounting import keep
from phasewise_analyzer.ledger.facts import Ledger
from phasewise_analyzer.prefixes import shared_prefixes
from phasewise_collector.importing import import_paths
from phasewise_store import reads
from phasewise_store.facts import Usage
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import messages, write_calls

WORDS = "Every word of this is here to fill a prompt up to where caches begin to care. " * 80
START_NS = 1_760_000_000 * 10**9


def kept(store: Store, source: str | None = None) -> Ledger:
    """Analyse and account."""
    analyse(store)
    return keep(store, book.read(), Scope(source=source))


def assert_complete(store: Store, ledger: Ledger) -> None:
    """Each call's parts are its input and its input bill; the lines are the sums."""
    inputs = dict(store.frame("SELECT call_id, input_tokens FROM llm_calls").iter_rows())
    bills = dict(store.frame("SELECT call_id, prefill_usd FROM call_costs").iter_rows())
    for one in ledger.explained:
        assert sum(part.tokens for part in one.parts) == inputs[one.call_id]
        assert all(part.tokens > 0 for part in one.parts)
        if bills[one.call_id] is not None:
            assert sum(part.usd or 0 for part in one.parts) == bills[one.call_id]
            assert all((part.usd or 0) >= 0 for part in one.parts)
    assert sum(line.tokens for line in ledger.lines) == ledger.input_tokens
    assert sum(line.usd or 0 for line in ledger.lines) == (ledger.prefill_usd or 0)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcd"), min_size=1, max_size=6),
            st.floats(0, 1),
            st.floats(0, 1),
            st.integers(0, 3600),
        ),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_the_parts_are_the_whole_whatever_was_reported(
    calls: list[tuple[list[str], float, float, int]], reported: bool
) -> None:
    """Any usage, even one that reads more than was ever sent, is accounted for to the digit."""
    prompts = [messages([f"{name} {WORDS[:900]}" for name in names]) for names, *_ in calls]
    usages, starts, now = [], [], START_NS
    for prompt, (_, read, write, gap_s) in zip(prompts, calls, strict=True):
        total = sum(part.tokens for part in prompt)
        cached = int(total * read) if reported else 0
        written = int((total - cached) * write) if reported else 0
        usages.append(
            Usage(
                uncached_tokens=total - cached - written,
                cache_read_tokens=cached,
                cache_write_5m_tokens=written,
                cache_reported=reported,
            )
        )
        now += gap_s * 10**9
        starts.append(now)
    with Store.in_memory() as store:
        write_calls(
            store,
            prompts,
            usages=usages,
            starts_ns=starts,
            provider="anthropic",
            model="claude-sonnet-4-5",
        )
        assert_complete(store, kept(store))


def test_each_reason_has_its_own_line(store: Store) -> None:
    """New, appended, read, expired, below the minimum, and lost on the provider's side."""
    short, long = messages(["Hi."]), messages([WORDS])
    longer = (*long, *messages(["And?"]))
    tokens = [sum(part.tokens for part in one) for one in (short, short, long, longer, longer)]
    uncached = [Usage(uncached_tokens=size) for size in tokens]
    read = Usage(cache_read_tokens=tokens[2], cache_write_5m_tokens=tokens[3] - tokens[2])
    write_calls(
        store,
        [short, short, long, longer, longer, longer],
        usages=[*uncached[:3], read, uncached[4], uncached[4]],
        starts_ns=[START_NS + second * 10**9 for second in (0, 1, 2, 3, 4, 4000)],
        agents=["a", "a", "b", "b", "b", "b"],
        provider="anthropic",
        model="claude-sonnet-4-5",
    )
    found = kept(store)
    assert_complete(store, found)
    assert [(line.reason, line.calls, line.tokens) for line in found.lines] == [
        (facts.READ, 1, tokens[2]),
        (facts.FIRST, 2, tokens[0] + tokens[2]),
        (facts.APPENDED, 1, tokens[3] - tokens[2]),
        (facts.RULE + "lifetime", 1, tokens[3]),
        (facts.RULE + "minimum", 1, tokens[0]),
        (facts.PROVIDER, 1, tokens[3]),
    ]


def test_a_trace_that_reads_more_than_it_sent_gives_no_share_above_one(store: Store) -> None:
    """A source whose cached tokens exceed its prompt: flagged by its reading, never negative."""
    prompt = messages([WORDS])
    usage = Usage(cache_read_tokens=10**6, cache_write_5m_tokens=0)
    write_calls(store, [prompt], usages=[usage], provider="anthropic", model="claude-sonnet-4-5")
    found = kept(store)
    assert_complete(store, found)
    assert [(line.reason, line.tokens) for line in found.lines] == [(facts.READ, 10**6)]


def test_pi_mono_is_explained_to_the_token(shared_traces: Path, store: Store) -> None:
    """Anthropic is deterministic: the rule says what was read, except where nothing was."""
    reference = json.loads((shared_traces / "reference.json").read_text())
    expected = reference["pi-mono/large-session.jsonl.gz"]
    import_paths(store, [shared_traces / "pi-mono"])
    found = kept(store)
    assert_complete(store, found)
    assert found.judged_calls == expected["calls_with_usage"]
    missed = [one for one in found.explained if not one.reported_read]
    close = [
        one
        for one in found.explained
        if one.reported_read and abs((one.predicted_read or 0) - one.reported_read) < 2500
    ]
    assert len(missed) + len(close) == found.judged_calls
    assert found.exact_calls > 0.85 * found.judged_calls
    lines = {line.reason: line for line in found.lines}
    assert lines[facts.READ].tokens == expected["cacheRead"]


def test_every_hit_of_tau2_bench_is_explained(shared_traces: Path, store: Store) -> None:
    """Each recovered hit lies within what had been sent before and what the model had answered."""
    import_paths(store, [shared_traces / "tau2-bench"])
    found = kept(store)
    assert_complete(store, found)
    calls = reads.llm_calls(store).rows(named=True)
    last: dict[str, int] = {}
    answered: dict[str, int] = {}
    for call in calls:
        answered[call["call_id"]] = last.get(call["agent_id"], 0)
        last[call["agent_id"]] = call["input_tokens"] + call["output_tokens"]
    hits = [one for one in found.explained if one.reported_read]
    assert len(hits) >= 402 + 469
    for one in hits:
        assert one.policy is not None
        assert one.reported_read is not None
        assert one.reported_read <= max(one.sent_before, answered[one.call_id]), one
    # some read more than was ever sent: only what the model had answered explains them
    sent = {
        one.call_id: int(tokens)
        for one, tokens in zip(hits, _sent(store, [one.row for one in hits]), strict=True)
    }
    beyond = [one for one in hits if (one.reported_read or 0) > sent[one.call_id]]
    assert len(beyond) > 100


def _sent(store: Store, rows: list[int]) -> list[int]:
    """Give the tokens of these calls' prompts that an earlier call had sent."""
    requests = Requests(store)
    group = requests.calls.select(pl.struct("provider", "model").rank("dense") - 1).to_series()
    node = shared_prefixes.any_earlier(requests.tree, group.to_numpy().astype(np.int64))
    found: list[int] = requests.tokens.at(np.array(rows), node[rows]).tolist()
    return found


def test_a_call_without_a_rule_says_so(store: Store) -> None:
    """A model that nobody knows has no policy, no price, and its own line."""
    prompt = messages([WORDS])
    write_calls(store, [prompt, prompt], provider="nobody", model="nothing-1")
    found = kept(store)
    assert [line.reason for line in found.lines] == [facts.FIRST, facts.UNKNOWN]
    assert found.prefill_usd is None
    assert found.lines[1].usd is None


@pytest.mark.parametrize("value", [None, Decimal("1.5")])
def test_an_empty_scope_is_empty(store: Store, value: Decimal | None) -> None:
    """No calls, no lines."""
    del value
    assert kept(store).lines == ()

"""The same calls under other rules: tokens and money against the bill, the curve and plain sums."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.prefixes import reuse
from phasewise_analyzer.prices import PriceBook, Rates
from phasewise_analyzer.whatif import scenario
from phasewise_analyzer.whatif.facts import Outcome
from phasewise_analyzer.whatif.metering import by_multipliers, filled, write_rate
from phasewise_analyzer.whatif.recorded_bill import billed
from phasewise_analyzer.whatif.repricing import Books, outcomes
from phasewise_analyzer.whatif.scenario import ENGINE, MIXED, OWN, Scenario
from phasewise_collector.importing import import_paths
from phasewise_store.errors import UsageError
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, write_calls
from tests.analyzer.whatif.conversations import tool, turns, without_clock, written

BOOKS = Books(book.read(), PriceBook())
SHAPE = model_config.known("llama-3.1-70b")


def run(store: Store, *scenarios: Scenario) -> tuple[Outcome, ...]:
    """Simulate all calls of a store."""
    return outcomes(Requests(store), scenarios, BOOKS)


def usual(store: Store) -> list[Scenario]:
    """Give scenarios of all kinds."""
    own = scenario.own_policies(Requests(store), BOOKS.rules)
    seller = scenario.parse_seller("google/gemini-2.5-pro")
    return [
        OWN,
        *scenario.with_lifetimes(own),
        scenario.engine(BOOKS.rules, 10**9, SHAPE),
        scenario.engine(BOOKS.rules, None, SHAPE),
        scenario.sold_by(scenario.parse_seller("deepseek/deepseek-chat"), None, BOOKS.rules),
        *(
            scenario.sold_by(seller, policy, BOOKS.rules)
            for policy in BOOKS.rules.policies
            if policy.family == "explicit_objects"
        ),
    ]


def check_sums(found: Outcome, calls: int, input_tokens: int) -> None:
    """Hold an outcome to the sums that every one of them obeys."""
    assert found.calls == calls
    assert found.spent.input == input_tokens
    assert min(found.spent.read, found.spent.uncached, *found.spent.written.values(), 0) >= 0
    if found.money is not None:
        paid = found.money
        parts = (paid.read_usd, paid.written_usd, paid.uncached_usd, paid.storage_usd)
        assert min(*parts, paid.output_usd, paid.request_usd) >= 0
        assert paid.total_usd == sum(parts, paid.output_usd + paid.request_usd)


def test_a_pause_longer_than_the_lifetime_costs_what_the_longer_one_saves(store: Store) -> None:
    """Calls 400 s apart: five minutes serve nothing, an hour all that was sent before."""
    prompts = turns(4, without_clock)
    written(store, prompts, gap_s=400)
    short, long = run(store, OWN, Scenario("1h", lifetime="1h"))
    sizes = [sum(part.tokens for part in prompt) for prompt in prompts]
    assert (short.spent.read, dict(short.spent.written)) == (0, {"5m": sum(sizes)})
    assert long.spent.read == sum(sizes[:-1])
    assert dict(long.spent.written) == {"1h": sizes[-1]}
    saved = long.saved_usd(short)
    assert saved is not None and saved > 0


def test_a_pause_shorter_than_both_makes_the_longer_one_dearer(store: Store) -> None:
    """Calls 60 s apart: the same is read, and a write for an hour costs more."""
    written(store, turns(4, without_clock), gap_s=60)
    short, long = run(store, OWN, Scenario("1h", lifetime="1h"))
    assert short.spent.read == long.spent.read
    saved = long.saved_usd(short)
    assert saved is not None and saved < 0


def test_mixed_lifetimes_keep_the_fixed_part_for_longer(store: Store) -> None:
    """After a pause between the two, tools and system prompt are read and the rest is not."""
    prompts = turns(3, without_clock, lambda step: [tool("search"), tool(f"book{step * 0}")])
    written(store, prompts, gap_s=400)
    (found,) = run(store, Scenario("mixed", lifetime=MIXED))
    fixed = sum(part.tokens for part in prompts[0] if part.kind != "message")
    sizes = [sum(part.tokens for part in prompt) for prompt in prompts]
    assert found.spent.read == 2 * fixed
    assert dict(found.spent.written) == {"1h": fixed, "5m": sum(sizes) - 3 * fixed}


def test_another_seller_is_priced_by_its_own_list(store: Store) -> None:
    """What DeepSeek would serve costs what the list says its model costs."""
    written(store, turns(3, without_clock))
    (found,) = run(
        store,
        scenario.sold_by(scenario.parse_seller("deepseek/deepseek-chat"), None, BOOKS.rules),
    )
    price = BOOKS.prices.price("deepseek", "deepseek-chat", input_tokens=5000, at_ns=None)
    assert price is not None and price.rates.cache_read is not None and found.money is not None
    assert found.spent.read > 0
    assert found.money.read_usd == found.spent.read * price.rates.cache_read / 10**6
    assert found.money.uncached_usd == found.spent.uncached * price.rates.uncached / 10**6
    assert found.money.output_usd == 30 * price.rates.output / 10**6


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=10), min_size=1, max_size=15),
    st.integers(1, 30),
)
@settings(max_examples=30, deadline=None)
def test_an_engine_of_any_size_equals_the_curve_at_that_size(
    prompts: list[list[int]], capacity_blocks: int
) -> None:
    """On random prompts, the engine that evicts reads the LRU curve's hit blocks."""
    engine = replace(
        scenario.one_model(BOOKS.rules.named(ENGINE)),
        capacity_tokens=16 * capacity_blocks,
        leave_a_token=False,  # the curve counts a prompt's last token, too
    )
    with Store.in_memory() as store:
        write_calls(store, [blocks(one) for one in prompts], block_tokens=16)
        (found,) = run(store, Scenario("engine", engine))
        (row,) = reuse.find(store, capacities=[capacity_blocks]).lru
    assert found.spent.read == 16 * row.hit_blocks
    assert found.money is None


def test_calls_of_two_models_share_an_engine_and_no_provider_s_cache(store: Store) -> None:
    """One engine of one's own serves both; at a provider each model has its own cache."""
    prompts = turns(1, without_clock)
    written(store, prompts, session="a")
    written(store, prompts, session="b", model="claude-opus-4-1")
    own, engine = run(store, OWN, scenario.engine(BOOKS.rules, None, SHAPE))
    assert own.spent.read == 0
    assert engine.spent.read > 0.9 * engine.spent.input / 2


def test_calls_without_rules_are_counted_and_read_nothing(store: Store) -> None:
    """A provider that no record names: its calls stand as uncached, and the outcome says so."""
    written(store, turns(3, without_clock), provider="nobody", model="unheard-of")
    (found,) = run(store, OWN)
    assert (found.unruled_calls, found.unpriced_calls, found.spent.read) == (3, 3, 0)
    assert found.money is None


@pytest.mark.parametrize("trace", ["tau2-bench", "pi-mono", "lmcache-agent-trace"])
def test_real_traces_obey_the_sums_and_their_bill(
    shared_traces: Path, store: Store, trace: str
) -> None:
    """On real traces all scenarios keep the tokens, and what was billed is the analysed cost."""
    import_paths(store, [shared_traces / trace])
    analyse(store)
    requests = Requests(store)
    calls = int((requests.tree.leaf >= 0).sum())
    for found in run(store, *usual(store)):
        check_sums(found, calls, int(requests.tokens.whole[requests.tree.leaf >= 0].sum()))
    bill = billed(requests)
    costs = store.frame(
        "SELECT sum(prefill_usd) AS prefill, sum(decode_usd) AS decode, sum(other_usd) AS other "
        "FROM call_costs k JOIN llm_calls c USING (call_id) WHERE c.leaf_node <> 0"
    ).row(0)
    if bill.money is None:
        assert costs == (None, None, None)
    else:
        paid = bill.money
        assert (paid.input_usd, paid.output_usd, paid.request_usd) == costs


def test_what_is_reported_as_cached_is_what_is_billed_as_read(
    shared_traces: Path, store: Store
) -> None:
    """The row of the bill has the tokens that the provider reported."""
    import_paths(store, [shared_traces / "pi-mono"])
    analyse(store)
    found = billed(Requests(store, Scope(source="pi-mono")))
    reported = store.frame("SELECT sum(cache_read_tokens)::BIGINT AS n FROM llm_calls")["n"][0]
    assert found.spent.read == reported
    assert found.cache_known_calls == found.calls


def test_a_rate_that_the_list_lacks_comes_from_the_policy() -> None:
    """A list without read and write rates: the record's multipliers fill them in, and only them."""
    policy = BOOKS.rules.named("anthropic/sonnet-4.5")
    bare = Rates(Decimal(4), None, Decimal(4), Decimal(4), Decimal(20), Decimal(20))
    made = filled(bare, policy)
    assert (made.cache_read, made.cache_write_5m, made.cache_write_1h) == (
        Decimal("0.4"),
        Decimal("5.00"),
        Decimal(8),
    )
    listed = Rates(Decimal(4), Decimal(1), Decimal(6), Decimal(7), Decimal(20), Decimal(20))
    assert filled(listed, policy) == listed
    assert by_multipliers(listed, policy) == made
    assert write_rate(made, policy, "1h") == 8
    assert write_rate(made, policy, "5m") == 5


def test_an_unknown_lifetime_or_seller_is_refused_with_what_there_is() -> None:
    """Errors name the thing and the choices."""
    own = [BOOKS.rules.named("anthropic/sonnet-4.5")]
    with pytest.raises(UsageError, match="`5m`, `1h`"):
        scenario.check_lifetime("2h", own)
    with pytest.raises(UsageError, match="is not PROVIDER/MODEL"):
        scenario.parse_seller("claude")
    with pytest.raises(UsageError, match="--policy"):
        scenario.sold_by(scenario.parse_seller("nobody/unheard-of"), None, BOOKS.rules)

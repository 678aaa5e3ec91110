"""Roll-ups: sums over calls by agent, session, model."""

from decimal import Decimal

import pytest
from phasewise_analyzer import analyse, rollups
from phasewise_analyzer.findings import Totals
from phasewise_store.errors import UsageError
from phasewise_store.facts import Usage
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import messages, write_calls

USAGES = [
    Usage(uncached_tokens=1000, output_tokens=100),
    Usage(uncached_tokens=200, cache_read_tokens=800, output_tokens=50, ambiguous=True),
]


@pytest.fixture
def priced(store: Store) -> Store:
    """Give a store with two sessions of a priced model."""
    for session in ("s", "t"):
        write_calls(
            store,
            [messages(["x" * 300]), messages(["x" * 300, "y"])],
            usages=USAGES,
            session=session,
            agents=["main", "sub"],
            model="gpt-4o",
            provider="openai",
            started_ns=1_750_000_000 * 10**9,
        )
    analyse.analyse(store)
    return store


def test_agents_sessions_and_models_sum_to_the_same_total(priced: Store) -> None:
    """Every grouping adds up to the whole, in tokens and in money."""
    whole = rollups.totals(priced)
    groupings: list[list[Totals]] = [
        [row.totals for row in rollups.agents(priced)],
        [row.totals for row in rollups.sessions(priced)],
        [row.totals for row in rollups.models(priced)],
    ]
    for rows in groupings:
        for field in ("calls", "input_tokens", "cache_read_tokens", "total_usd", "missed_usd"):
            assert sum(getattr(row, field) for row in rows) == getattr(whole, field), field
    assert whole.total_usd == whole.prefill_usd + whole.decode_usd + whole.other_usd  # type: ignore[operator]  # priced
    assert whole.ambiguous_calls == 2


def test_the_price_split_is_exact(priced: Store) -> None:
    """gpt-4o at 2.50, 1.25 cached and 10: each part as computed by hand."""
    sub = next(row.totals for row in rollups.agents(priced) if row.agent == "sub")
    assert sub.prefill_usd == 2 * (200 * Decimal("2.5") + 800 * Decimal("1.25")) / 10**6
    assert sub.decode_usd == 2 * 50 * Decimal(10) / 10**6


def test_a_scope_filters_and_an_unknown_session_is_an_error(priced: Store) -> None:
    """`--agent` keeps one role; a wrong session id says how to list them."""
    assert [row.agent for row in rollups.agents(priced, Scope(agent="sub"))] == ["sub"]
    assert rollups.session(priced, "t").agents == ("main", "sub")
    with pytest.raises(UsageError, match="phasewise sessions"):
        rollups.session(priced, "nobody")


def test_an_empty_store_has_no_rows_and_zero_calls(store: Store) -> None:
    """Totals of nothing count zero and know no money."""
    assert rollups.agents(store) == ()
    empty = rollups.totals(store)
    assert (empty.calls, empty.input_tokens, empty.total_usd) == (0, 0, None)

"""The rows that are kept are what breaks and ledger find over the whole data set."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from phasewise_analyzer import rollups
from phasewise_analyzer.analyse import analyse
from phasewise_analyzer.breaks import find as breaks
from phasewise_analyzer.breaks import recorded as recorded_breaks
from phasewise_analyzer.caches import book
from phasewise_analyzer.groups import By
from phasewise_analyzer.ledger import accounting
from phasewise_analyzer.ledger import recorded as recorded_ledger
from phasewise_analyzer.ledger.facts import Ledger
from phasewise_collector.importing import import_paths
from phasewise_store import findings
from phasewise_store.facts import Usage
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import messages, write_calls

BREAK_COLUMNS = (
    *("call_id", "session_id", "agent", "model", "step", "after_call_id", "gap_s", "cause"),
    *("tier", "place", "before", "after", "expected_tokens", "shared_tokens", "read_tokens"),
    *("lost_tokens", "lost_usd", "provider_says"),
)


def assert_ledger_is_what_is_kept(store: Store, scope: Scope, ledger: Ledger) -> None:
    """Hold the sums, the groups and each call to those of the batch."""
    whole = recorded_ledger.whole(store, scope)
    listed = {one.call_id: replace(one, row=0) for one in whole.explained}
    assert listed == {one.call_id: replace(one, row=0) for one in ledger.explained}
    assert replace(whole, explained=()) == replace(ledger, explained=())
    for by in get_args(By):
        groups = accounting.keep(store, book.read(), scope, by=by).accounts
        assert recorded_ledger.accounts(store, scope, by) == groups


def assert_rows_are_what_is_found(store: Store, source: str) -> None:
    """Every break, every part of every call, and the counts of the breaks page."""
    scope = Scope(source=source)
    found = breaks.find(store, book.read(), scope)
    ledger = accounting.keep(store, book.read(), scope)
    assert recorded_breaks.summary(store, scope) == replace(found, breaks=())
    assert recorded_breaks.breaks(store, scope) == found.breaks
    assert_ledger_is_what_is_kept(store, scope, ledger)
    rows = findings.breaks(store, scope)
    assert rows.select(BREAK_COLUMNS).rows() == [
        tuple(one.cause.name if name == "cause" else getattr(one, name) for name in BREAK_COLUMNS)
        for one in found.breaks
    ]
    kept = findings.of_calls(store, scope)
    known = kept.filter(kept["prompt_tokens"].is_not_null())
    whole = rollups.totals(store, scope)
    assert (known.height, whole.input_tokens) == (found.calls, found.input_tokens)
    assert (whole.wasted_tokens, whole.wasted_usd) == (found.wasted_tokens, found.wasted_usd)
    assert kept["is_deep"].sum() == found.deep_breaks
    assert kept["agrees"].count() == found.diagnosed_calls
    assert kept["agrees"].sum() == found.agreed_calls
    assert {row["call_id"]: row for row in kept.iter_rows(named=True)} == {
        one.call_id: row
        | {
            "policy": one.policy,
            "sent_before": one.sent_before,
            "predicted_read": one.predicted_read,
            "reported_read": one.reported_read,
            "granularity": one.granularity,
            "reasons": [
                {
                    "reason": part.reason,
                    "tokens": part.tokens,
                    "usd": part.usd,
                    "extra_usd": part.extra_usd,
                }
                for part in one.parts
            ],
        }
        for one in ledger.explained
        for row in kept.filter(kept["call_id"] == one.call_id).iter_rows(named=True)
    }


def test_rows_are_what_is_found(store: Store) -> None:
    """A break, a miss, a call without a prompt and one that goes on, each with its reasons."""
    start_ns = 1_760_000_000 * 10**9
    words = "Some words that fill a prompt until caches care about what is in it. " * 120
    prompts = [
        messages([words, "one"]),
        messages([words, "one", "two"]),
        messages([f"At noon. {words}", "one", "two", "three"]),
        (),
    ]
    write_calls(
        store,
        prompts,
        usages=[Usage(uncached_tokens=4000, output_tokens=5)] * 4,
        starts_ns=[start_ns + second * 10**9 for second in range(4)],
        provider="anthropic",
        model="claude-sonnet-4-5",
    )
    analyse(store)
    assert_rows_are_what_is_found(store, "made")
    assert findings.breaks(store)["call_id"].to_list() == ["s.1", "s.2"]
    assert findings.of_calls(store)["first_of_stream"].to_list() == [True, False, False, False]
    assert findings.analysed(store)["source"].to_list() == ["made"]


@pytest.mark.parametrize("name", ["tau2-bench", "lmcache-agent-trace"])
def test_rows_of_real_traces_are_what_is_found(
    shared_traces: Path, store: Store, name: str
) -> None:
    """Providers that report their cache and those that do not, texts and times."""
    import_paths(store, sorted((shared_traces / name).rglob("*.gz"))[:3])
    analyse(store)
    assert findings.of_calls(store).height > 0
    assert_rows_are_what_is_found(store, name)

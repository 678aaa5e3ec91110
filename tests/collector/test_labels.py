"""Labels and outcomes: whatever convention says them, the same columns hold them."""

from pathlib import Path

import pytest
from phasewise_analyzer import rollups
from phasewise_analyzer.analyse import analyse
from phasewise_collector.loader import Loader
from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, acceptor, request
from tests.collector.test_loader import post

CALL = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 10,
    "llm.token_count.completion": 5,
}


def loaded(store: Store, folder: Path, *batches: list[Made]) -> None:
    """Send batches of spans one after the other, each loaded before the next."""
    with acceptor(folder) as running:
        loader = Loader(store, running.folder)
        for batch in batches:
            post(running.address, request(*batch).SerializeToString())
            loader.load()
    analyse(store)


@pytest.mark.parametrize(
    "said",
    [
        {
            "phasewise.user": "ana",
            "phasewise.customer": "acme",
            "phasewise.version": "1.4",
            "phasewise.tags": ["beta", "eu"],
            "phasewise.metadata": '{"plan": "x"}',
        },
        {
            "langfuse.user.id": "ana",
            "langfuse.trace.metadata.customer_id": "acme",
            "langfuse.version": "1.4",
            "langfuse.trace.tags": '["beta", "eu"]',
            "langfuse.trace.metadata.plan": "x",
        },
        {
            "enduser.id": "ana",
            "tenant.id": "acme",
            "gen_ai.agent.version": "1.4",
            "tag.tags": ["beta", "eu"],
            "metadata": '{"plan": "x", "langgraph_step": 3, "ls_provider": "openai"}',
        },
        {
            "langsmith.metadata.user_id": "ana",
            "langsmith.metadata.customer_id": "acme",
            "service.version": "1.4",
            "langsmith.span.tags": "beta, eu",
            "langsmith.metadata.plan": "x",
        },
    ],
)
@pytest.mark.parametrize("on", ["call", "parent"])
def test_a_convention_s_words_are_read(
    tmp_path: Path, store: Store, said: dict[str, object], on: str
) -> None:
    """User, customer, version and tags of the call, or of the nearest span above that says them."""
    above = Made(1, name="run", attributes=said if on == "parent" else {}, ms=200)
    call = Made(2, parent=1, attributes=CALL | (said if on == "call" else {}))
    loaded(store, tmp_path, [above, call])
    (row,) = reads.llm_calls(store).iter_rows(named=True)
    assert (row["user_id"], row["customer"], row["version"]) == ("ana", "acme", "1.4")
    assert row["tags"] == ["beta", "eu"]
    assert '"plan":"x"' in row["metadata"]
    assert "langgraph" not in row["metadata"]


def test_an_outcome_outlives_the_batches_that_follow(tmp_path: Path, store: Store) -> None:
    """An outcome that comes before its session's last call is that session's all the same."""
    inside: dict[str, object] = {"session.id": "s"}
    loaded(
        store,
        tmp_path,
        [Made(1, attributes=CALL | inside)],
        [
            Made(
                2,
                name="phasewise.outcome",
                attributes=inside | {"phasewise.outcome": "resolved", "phasewise.revenue_usd": 2.5},
                start_ms=200,
                trace=2,
            )
        ],
        [Made(3, attributes=CALL | inside, start_ms=400, trace=3)],
        [
            Made(
                4,
                attributes=inside | {"phasewise.outcome": "open"},
                name="phasewise.outcome",
                start_ms=100,
                trace=4,
            )
        ],
    )
    (row,) = rollups.sessions(store)
    assert (row.session_id, row.totals.calls) == ("s", 2)
    assert (row.outcome, row.revenue_usd) == ("resolved", 2.5)


def test_calls_are_filtered_by_what_is_said_of_them(tmp_path: Path, store: Store) -> None:
    """Each label selects its own calls, and is listed with how many there are."""
    loaded(
        store,
        tmp_path,
        [
            Made(1, attributes=CALL | {"user.id": "ana", "phasewise.tags": ["a", "b"]}, trace=1),
            Made(2, attributes=CALL | {"user.id": "bo", "phasewise.tags": ["b"]}, trace=2),
            Made(3, attributes=CALL | {"phasewise.version": "2"}, trace=3),
            Made(4, attributes=CALL | {"phasewise.customer": "acme"}, trace=4),
        ],
    )
    for scope, calls in (
        (Scope(user="ana"), 1),
        (Scope(tag="b"), 2),
        (Scope(tag="b", user="bo"), 1),
        (Scope(version="2"), 1),
        (Scope(customer="acme"), 1),
        (Scope(customer="nobody"), 0),
    ):
        assert rollups.totals(store, scope).calls == calls, scope
    found = {(one.label, one.value): one.calls for one in rollups.labels(store)}
    assert found == {
        ("user", "ana"): 1,
        ("user", "bo"): 1,
        ("tag", "a"): 1,
        ("tag", "b"): 2,
        ("version", "2"): 1,
        ("customer", "acme"): 1,
    }

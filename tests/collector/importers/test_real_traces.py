"""Every importer against the real traces and their expected figures."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from phasewise_collector.importing import Imported, import_paths
from phasewise_store.store import Store

from tests.conftest import Corpus


def reference(folder: Path) -> dict[str, Any]:
    """Give the figures that were computed independently of this code."""
    found: dict[str, Any] = json.loads((folder / "reference.json").read_text())
    return found


def bad_lines(done: Imported) -> list[object]:
    """Give what was skipped inside files that were read."""
    return [left for left in done.skipped if left.line is not None]


def test_mooncake_gives_every_request(shared_traces: Path, store: Store) -> None:
    """12,031 requests, 144,793,823 input and 4,122,048 output tokens, in file order."""
    done = import_paths(store, [shared_traces / "mooncake" / "conversation_trace.jsonl.gz"])
    totals = store.frame(
        "SELECT count(*), sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT FROM llm_calls"
    ).row(0)
    assert (done.llm_calls, done.skipped) == (12_031, [])
    assert totals == (12_031, 144_793_823, 4_122_048)


@pytest.mark.slow
def test_kv_cache_tester_gives_every_call_with_sub_agents_nested(
    shared_traces: Path, whole_kv_cache_tester: Corpus, kv_cache_tester: Store
) -> None:
    """Per file: calls, sub-agents, tokens and models are those of the reference."""
    expected = reference(shared_traces)["kv-cache-tester"]
    done = whole_kv_cache_tester.imported
    assert (done.sessions, done.llm_calls, bad_lines(done)) == (155, 11_510, [])
    rows = kv_cache_tester.frame(
        "SELECT s.path, count(*) AS calls, sum(c.input_tokens)::BIGINT AS input, "
        "sum(c.output_tokens)::BIGINT AS output FROM llm_calls c JOIN sources s USING (source_id) "
        "GROUP BY s.path"
    )
    subagents = dict(
        kv_cache_tester.frame(
            "SELECT s.path, count(*) FILTER (a.parent_agent_id IS NOT NULL) FROM agents a "
            "JOIN sessions n USING (session_id) JOIN sources s USING (source_id) GROUP BY s.path"
        ).iter_rows()
    )
    for path, calls, read, written in rows.iter_rows():
        wanted = expected["per_trace"][Path(path).name]
        assert (calls, read, written) == tuple(
            wanted[key] for key in ("requests", "input_tokens", "output_tokens")
        )
        assert subagents[path] == wanted["subagents"]


def test_hash_ids_of_different_files_never_match(shared_traces: Path, store: Store) -> None:
    """Two sessions that both begin with hash id 0 share no segment and no node."""
    folder = shared_traces / "kv-cache-tester" / "traces"
    import_paths(store, [folder / "trace_0022.json.gz", folder / "trace_0011.json.gz"])
    roots = store.frame("SELECT segment_id FROM nodes WHERE parent_id = 0")["segment_id"]
    shared = store.frame(
        "WITH RECURSIVE path AS (SELECT c.source_id, n.* FROM llm_calls c "
        "JOIN nodes n ON n.node_id = c.leaf_node UNION SELECT p.source_id, n.* FROM path p "
        "JOIN nodes n ON n.node_id = p.parent_id) "
        "SELECT segment_id FROM path GROUP BY segment_id HAVING count(DISTINCT source_id) > 1"
    )
    assert roots.n_unique() >= 2
    assert not shared.height


def test_lmcache_gives_every_line_as_a_call(shared_traces: Path, store: Store) -> None:
    """10 and 13 sessions, 196 and 371 calls; the sixteen empty inputs have no prompt."""
    done = import_paths(store, [shared_traces / "lmcache-agent-trace"])
    rows = store.frame(
        "SELECT a.name, count(DISTINCT c.session_id), count(*), "
        "count(*) FILTER (c.leaf_node = 0) FROM llm_calls c "
        "JOIN agents a USING (agent_id) GROUP BY a.name ORDER BY a.name"
    )
    assert rows.rows() == [("magagent", 13, 371, 16), ("miniswe", 10, 196, 0)]
    assert not bad_lines(done)


def test_tau_bench_gives_every_assistant_turn(shared_traces: Path, store: Store) -> None:
    """100 runs, 1,381 calls, tokens marked as estimates."""
    done = import_paths(store, [shared_traces / "tau-bench"])
    assert (done.sessions, done.llm_calls) == (100, 1_381)
    assert store.frame("SELECT DISTINCT usage_origin FROM llm_calls").rows() == [("estimated",)]


@pytest.fixture(scope="module")
def tau2(shared_traces: Path) -> Store:
    """Give a store with the three tau2-bench files."""
    store = Store.in_memory()
    import_paths(store, [shared_traces / "tau2-bench"])
    return store


@pytest.mark.parametrize(
    ("file", "role", "stream"),
    [
        ("azure-gpt-4o_airline_50sims.json.gz", "airline-agent", "assistant"),
        ("azure-gpt-4o_airline_50sims.json.gz", "user-simulator", "user"),
        ("gpt-5.4_airline_50sims.json.gz", "airline-agent", "assistant"),
        ("gpt-5.4_airline_50sims.json.gz", "user-simulator", "user"),
    ],
)
def test_tau2_recovers_cached_tokens_and_reproduces_the_cost(
    tau2: Store, shared_traces: Path, file: str, role: str, stream: str
) -> None:
    """Calls, tokens and cost are the reference's; what it says was cached is found exactly."""
    wanted = reference(shared_traces)["tau2-bench"]["per_file"][file][stream]
    calls, read, cached, hits, written, usd = tau2.frame(
        "SELECT count(*), sum(input_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT, "
        "count(*) FILTER (cache_read_tokens > 0), sum(output_tokens)::BIGINT, "
        "sum(reported_cost_usd) FROM llm_calls c JOIN agents a USING (agent_id) "
        "JOIN sources s USING (source_id) WHERE s.path LIKE '%' || $file AND a.name = $role",
        {"file": file, "role": role},
    ).row(0)
    assert (calls, read, written) == (
        wanted["calls"],
        wanted["prompt_tokens"],
        wanted["completion_tokens"],
    )
    assert usd == pytest.approx(wanted["cost_usd"], abs=1e-6)
    if "cached_tokens_from_cost" in wanted:
        assert (cached, hits) == (
            wanted["cached_tokens_from_cost"],
            wanted["calls_with_cache_hit"],
        )


def test_tau2_costs_follow_from_tokens_call_by_call(tau2: Store) -> None:
    """Tokens times the proven rates is the recorded cost of every azure call, to 1e-9 USD."""
    rates = {"gpt-4o-2024-11-20": (Decimal("2.75"), Decimal("1.25"), Decimal(11))}
    rows = tau2.frame(
        "SELECT model, uncached_tokens, cache_read_tokens, output_tokens, reported_cost_usd "
        "FROM llm_calls WHERE provider = 'azure'"
    )
    assert rows.height == 446 + 295
    for model, uncached, cached, written, usd in rows.iter_rows():
        read, hit, out = rates[model]
        cost = (uncached * read + cached * hit + written * out) / 10**6
        assert float(cost) == pytest.approx(usd, abs=1e-9)


def test_tau2_without_usage_is_estimated_and_keeps_no_arguments(tau2: Store) -> None:
    """The file's agent turns have no usage; the models' arguments, which hold keys, stay out."""
    rows = tau2.frame(
        "SELECT a.name, c.usage_origin, count(*) FROM llm_calls c JOIN agents a USING (agent_id) "
        "WHERE c.model = 'gpt-oss-120b' GROUP BY ALL ORDER BY ALL"
    )
    assert rows.rows() == [
        ("airline-agent", "estimated", 887),
        ("user-simulator", "reported", 257),
    ]
    assert tau2.frame("SELECT DISTINCT request FROM llm_calls").rows() == [("{}",)]


def test_tau2_tools_have_their_arguments_and_results(tau2: Store) -> None:
    """Every one, of the agents' side and of the users'."""
    rows = tau2.frame("SELECT count(*), count(arguments), count(result) FROM tool_calls").rows()
    assert rows == [(1_556, 1_556, 1_556)]

"""The small data sets of real traces, against their expected figures."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from phasewise_collector.dialects.usage import usage_of
from phasewise_collector.importing import import_paths
from phasewise_collector.usage.reader import usage_of_body
from phasewise_store import reads, stored_traces
from phasewise_store.facts import Usage
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.collector.importers.test_real_traces import bad_lines, reference

SUMS = (
    "SELECT count(*), sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT, "
    "sum(cache_read_tokens)::BIGINT, sum(cache_write_5m_tokens)::BIGINT, "
    "sum(reported_cost_usd) FROM llm_calls"
)


def test_pi_mono_gives_the_bill_to_the_cent(shared_traces: Path, store: Store) -> None:
    """439 calls, input = input + cacheRead + cacheWrite, every tool call, $30.33."""
    path = shared_traces / "pi-mono" / "large-session.jsonl.gz"
    expected = reference(shared_traces)["pi-mono/large-session.jsonl.gz"]
    done = import_paths(store, [path])
    calls, read, written, hit, stored, usd = store.frame(SUMS).row(0)
    assert (calls, read, written) == (
        expected["calls_with_usage"],
        expected["prompt_tokens"],
        expected["output"],
    )
    assert (hit, stored) == (expected["cacheRead"], expected["cacheWrite"])
    assert usd == pytest.approx(expected["cost_usd"], abs=1e-6)
    assert (done.tool_calls, bad_lines(done)) == (expected["tool_calls"], [])
    texts = store.frame("SELECT count(arguments), count(result) FROM tool_calls").row(0)
    assert texts == (expected["tool_calls"], 373)  # 18 runs have no result in the file
    misses = store.frame("SELECT count(*) FROM llm_calls WHERE cache_read_tokens = 0").item()
    assert misses == sum(expected["full_misses_by_preceding"].values())


def test_openhands_sdk_s_files_are_one_session(shared_traces: Path, store: Store) -> None:
    """Six files, six calls in order of time, with tools, cost and latency."""
    expected = reference(shared_traces)["openhands-sdk"]
    import_paths(store, [shared_traces / "openhands-sdk" / "llm-logs"])
    found = reads.llm_calls(store, Scope()).sort("step")
    assert found["step"].to_list() == list(range(6))
    assert found["session_id"].n_unique() == 1
    for row, name in zip(found.iter_rows(named=True), sorted(expected), strict=True):
        wanted = expected[name]
        assert row["input_tokens"] == wanted["usage"]["prompt_tokens"]
        assert row["output_tokens"] == wanted["usage"]["completion_tokens"]
        assert row["reported_cost_usd"] == pytest.approx(wanted["cost"])
        assert row["duration_ns"] == pytest.approx(wanted["latency_sec"] * 1e9, abs=1)
        prompt = reads.prompt(store, row["call_id"])
        kinds = [part.kind for part in prompt]
        assert kinds.count("tool") == wanted["tools"]
        assert len(kinds) == wanted["tools"] + wanted["messages"]


def test_openhands_eval_sums_to_its_accumulated_usage(shared_traces: Path, store: Store) -> None:
    """One run, 23 calls, its tokens and the sum of its latencies."""
    path = shared_traces / "openhands-eval" / "output.part1.jsonl.gz"
    ((_, expected),) = reference(shared_traces)["openhands-eval/output.part1.jsonl.gz"].items()
    done = import_paths(store, [path])
    calls, read, written, *_ = store.frame(SUMS).row(0)
    assert (calls, read, written) == tuple(
        expected[key] for key in ("llm_calls", "prompt_tokens", "completion_tokens")
    )
    took = store.frame("SELECT sum(duration_ns) / 1e9 FROM llm_calls").item()
    assert took == pytest.approx(expected["sum_latency_s"], abs=1e-3)
    assert (done.sessions, bad_lines(done)) == (1, [])


def test_swe_agent_gives_every_assistant_message(shared_traces: Path, store: Store) -> None:
    """Six trajectories, the calls of each; the run's own totals are passed on as a note."""
    expected = reference(shared_traces)["swe-agent"]["per_file"]
    done = import_paths(store, [shared_traces / "swe-agent"])
    rows = store.frame(
        "SELECT s.path, count(*) FROM llm_calls c JOIN sources s USING (source_id) GROUP BY s.path"
    )
    found = {Path(path).relative_to(shared_traces / "swe-agent"): n for path, n in rows.rows()}
    assert found == {Path(name): one["calls"] for name, one in expected.items()}
    assert ["52,861" in note.text for note in done.notes] == [True]


def test_azure_gives_every_request(shared_traces: Path, store: Store) -> None:
    """19,366 requests, to the hundred nanoseconds."""
    name = "azure-llm-2023/AzureLLMInferenceTrace_conv.csv.gz"
    expected = reference(shared_traces)[name]
    done = import_paths(store, [shared_traces / name])
    calls, read, written, *_ = store.frame(SUMS).row(0)
    assert (calls, read, written) == tuple(
        expected[key] for key in ("requests", "input_tokens", "output_tokens")
    )
    first = store.frame("SELECT min(started_ns) FROM llm_calls").item()
    assert first % 10**9 == 680_590_000
    assert bad_lines(done) == []


def test_every_provider_s_usage_is_what_the_oracle_gives(shared_traces: Path) -> None:
    """787 bodies: our numbers are those of one of the body's extractors, in all of its fields."""
    file = shared_traces / "genai-prices" / "usages.even.json.gz"
    entries = json.loads(gzip.decompress(file.read_bytes()))
    read = 0
    contradicted = []
    for entry in entries:
        usage = usage_of_body(entry["body"])
        if usage is None:
            assert "meta" in entry["body"] or "embedding" in entry["body"]["file"]
            continue
        read += 1
        oracles = [_oracle(one["usage"]) for one in entry["extracted"]]
        ours = (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        )
        if "num_cached_tokens" in entry["body"].get("usage", {}):
            oracles = [(*one[:2], ours[2], ours[3]) for one in oracles]  # unknown to the oracle
        assert ours in oracles, entry["body"]["file"]
        if usage.ambiguous:
            contradicted.append(entry["body"]["usage"])
    assert read == 787
    # Gemini behind OpenAI's API: thoughts stand in the total and nowhere else
    assert contradicted == [{"completion_tokens": 12, "prompt_tokens": 35, "total_tokens": 109}]


def _oracle(usage: dict[str, int]) -> tuple[int, int, int, int]:
    return (
        usage.get("input_tokens", 0),
        usage.get("output_tokens", 0),
        usage.get("cache_read_tokens", 0),
        usage.get("cache_write_tokens", 0),
    )


def test_cassettes_give_the_usage_of_every_answer(shared_traces: Path, store: Store) -> None:
    """Parsed, gzip and streamed bodies; cached and written tokens; no share above 1."""
    done = import_paths(store, [shared_traces / "provider-cassettes"])
    assert (done.sessions, done.llm_calls, bad_lines(done)) == (21, 44, [])
    rows = reads.llm_calls(store, Scope())
    assert rows.filter(rows["cache_read_tokens"] > rows["input_tokens"]).height == 0
    by_name = {
        name.rpartition("-")[0]: group
        for (name,), group in rows.group_by("session_id", maintain_order=True)
    }
    streamed = by_name["test_openrouter_cache_streaming_e2e"].row(0, named=True)
    assert (streamed["input_tokens"], streamed["output_tokens"]) == (254, 5)
    legacy = by_name["test_anthropic_prompt_caching_legacy"]
    assert legacy["cache_write_5m_tokens"].sum() == legacy["cache_read_tokens"].sum() > 1000
    demo = by_name["claude-opus-4-7_cassette"]
    assert set(demo["usage_origin"]) == {"estimated"}
    assert rows.filter(rows["provider"].is_null()).select("session_id").unique().height <= 1


FRAMEWORKS = (
    "agno-2025-06-11",
    "beeai-2025-08-01",
    "claude-agent-2025-12-22",
    "crewai-2025-07-11",
    "google-adk-2025-08-28",
    "google-gemini-2025-08-01",
    "langgraph-python-2025-08-22",
    "openai-agents-2025-09-30",
    "pydantic-ai-2025-06-06",
    "pydantic-ai-tools-2025-06-06",
    "pydantic-ai-tools-2025-12-04",
)

EMPTY = ("beeai-2025-08-01", "claude-agent-2025-12-22")
"""have generations without a prompt: BeeAI's `finish` events, LangSmith's turns"""


NO_REQUEST = frozenset({"b7b9a79830fe5c6b"})
"""`backend.openai.chat.finish`, an event as a span: no tokens, no answer, nothing was sent"""


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_generation_of_a_framework_is_found(
    shared_traces: Path, store: Store, name: str
) -> None:
    """Each generation describes one call, or contains calls; its recorded usage is read back."""
    path = shared_traces / "framework-otel-traces" / f"{name}.trace.json"
    import_paths(store, [path])
    exported: dict[str, Any] = json.loads(path.read_text())
    generations = [one for one in exported["observations"] if one["type"] == "GENERATION"]
    spans = {span.span_id: span for span in stored_traces.spans(store, [exported["trace"]["id"]])}
    calls = stored_traces.llm_calls(store, [exported["trace"]["id"]])
    described = [one.span_id for call in calls for one in call.described_by]
    for one in generations:
        assert described.count(one["id"]) == (one["id"] not in NO_REQUEST)
        span = spans[one["id"]]
        usage = usage_of(span.attributes, span.scope_name, span.scope_version)
        wanted = one["usageDetails"]
        if wanted:
            assert usage.input_tokens == wanted["input"]
            assert usage.output_tokens == wanted.get("output", 0)
            assert usage.reasoning_tokens == wanted.get("completion_details.reasoning", 0)
    for call in calls:
        assert call.model
    if name not in EMPTY:
        assert {call.usage.origin for call in calls} == {"reported"}
        assert all(any(one.content for one in reads.prompt(store, c.call_id)) for c in calls)


def test_usage_adds_up_for_whatever_is_read(shared_traces: Path) -> None:
    """The four parts of the input are never negative, for every body."""
    file = shared_traces / "genai-prices" / "usages.even.json.gz"
    for entry in json.loads(gzip.decompress(file.read_bytes())):
        usage = usage_of_body(entry["body"]) or Usage()
        parts = (
            usage.uncached_tokens,
            usage.cache_read_tokens,
            usage.cache_write_5m_tokens,
            usage.cache_write_1h_tokens,
        )
        assert min(parts) >= 0
        assert usage.reasoning_tokens <= usage.output_tokens

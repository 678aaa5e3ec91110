"""Tables: Azure's and BurstGPT's requests, and what providers' consoles export of a bill."""

from pathlib import Path

import pytest
from phasewise_collector.importers import azure_llm, burstgpt, usage_export
from phasewise_collector.importers.importer import Importer, Skipped, Trace
from phasewise_store.facts import Batch


def read(importer: Importer, text: str) -> tuple[Batch, list[int | None]]:
    """Read a table; give its facts and the lines that were skipped."""
    data = text.encode()
    assert importer.recognises(data, Path("t.csv"))
    found = list(importer.read(Trace(Path("t.csv"), "ab" * 32, data)))
    batch = next(part for part in found if isinstance(part, Batch))
    return batch, [part.line for part in found if isinstance(part, Skipped)]


@pytest.mark.parametrize(
    ("moment", "started_ns"),
    [
        ("2023-11-16 18:15:46.6805900", 1700158546680590000),
        ("2023-11-16 18:15:46.1234567", 1700158546123456700),
        ("2024-05-10 00:00:00.009930+00:00", 1715299200009930000),
        ("2024-05-10 02:00:00+02:00", 1715299200000000000),
        ("2024-05-10T00:00:00Z", 1715299200000000000),
    ],
)
def test_azure_moments_of_all_years_are_exact(moment: str, started_ns: int) -> None:
    """Seven fractional digits, a time zone, or neither."""
    text = f"TIMESTAMP,ContextTokens,GeneratedTokens\r\n{moment},10,2\r\n"
    batch, skipped = read(azure_llm, text)
    assert [call.started_ns for call in batch.llm_calls] == [started_ns]
    assert skipped == []
    assert batch.source.name == f"azure-llm-{moment[:4]}"


def test_a_bad_row_stops_nothing() -> None:
    """Wrong counts, wrong moments and missing columns are skipped by line."""
    rows = ["2024-05-10 00:00:00,5,1", "yesterday,5,1", "2024-05-10 00:00:01,-5,1", "a,b", ""]
    batch, skipped = read(azure_llm, "\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    assert (len(batch.llm_calls), skipped) == (1, [3, 4, 5])


def test_burstgpt_of_both_layouts() -> None:
    """Six columns, and eight with sessions and durations; no response tokens is a failure."""
    six = (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,0,1087,API log\n"
    )
    batch, _ = read(burstgpt, six)
    assert len(batch.sessions) == 2
    assert [call.error for call in batch.llm_calls] == [None, "no response tokens"]
    eight = (
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,"
        "Log Type\n19.5,a-1,43,GPT-4,906,446,1352,Conversation log\n"
        "21.0,a-1,2,GPT-4,1400,29,1429,Conversation log\n"
    )
    batch, _ = read(burstgpt, eight)
    assert [(call.step, call.started_ns, call.duration_ns) for call in batch.llm_calls] == [
        (0, 19_500_000_000, 43_000_000_000),
        (1, 21_000_000_000, 2_000_000_000),
    ]
    assert {(call.provider, call.model) for call in batch.llm_calls} == {("openai", "GPT-4")}


def test_an_openai_export_gives_billed_totals() -> None:
    """Cached tokens are inside the input; batch is a tier; empty periods are no calls."""
    text = (
        "start_time;end_time;project_id;num_model_requests;model;batch;service_tier;input_tokens;"
        "output_tokens;input_cached_tokens\n"
        "1788000000;1788086400;proj_1;12;gpt-4o-2024-08-06;true;default;12000;240;6000\n"
        "1788086400;1788172800;;;;;;;;\n"
    )
    batch, skipped = read(usage_export, text)
    (call,) = batch.llm_calls
    assert (call.usage.input_tokens, call.usage.cache_read_tokens) == (12000, 6000)
    assert call.started_ns == 1788000000 * 10**9
    assert call.request == {"requests": 12}
    assert call.usage.billing.service_tier == "batch"
    assert [agent.name for agent in batch.agents if agent.agent_id == call.agent_id] == [
        "billed proj_1"
    ]
    assert skipped == []


def test_an_anthropic_export_gives_billed_totals() -> None:
    """Cached tokens stand beside the uncached ones, writes by lifetime; no key's name is kept."""
    text = (
        "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,"
        "usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"
        "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,"
        "web_search_count,inference_geo,speed\n"
        '2026-08-05,claude-opus-5,build key,"Closer, App",standard,≤ 200k,46981,15969,7,9,16932,'
        "0,global,\n"
    )
    batch, _ = read(usage_export, text)
    (call,) = batch.llm_calls
    usage = call.usage
    assert (usage.uncached_tokens, usage.cache_read_tokens, usage.output_tokens) == (
        46981,
        9,
        16932,
    )
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (15969, 7)
    assert [agent.name for agent in batch.agents] == ["billed Closer, App"]
    assert (usage.billing.service_tier, usage.billing.region) == ("standard", None)
    assert "build key" not in str(batch)

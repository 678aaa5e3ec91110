"""`phasewise simulate`: its JSON form, and what it says to wrong input."""

import gzip
import json
from pathlib import Path

import pytest
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.replay.recorded import SOURCE, write_repeating_sessions


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """Give three requests, not in the order of their arrival, of which two share a prompt."""
    rows = [
        {"arrival_ns": 2_000_000_000, "input_tokens": 40, "output_tokens": 1},
        {"arrival_ns": 0, "input_tokens": 64, "output_tokens": 10, "block_tokens": 16},
        {"arrival_ns": 1_000_000_000, "input_tokens": 64, "output_tokens": 10, "block_tokens": 16},
    ]
    for row in rows[1:]:
        row["hash_ids"] = [1, 2, 3, 4]  # type: ignore[assignment]
    path = tmp_path / "stream.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path


ENGINE = ["--shape", "llama-3.1-8b", "--gpu", "H100", "--json"]


def test_requests_come_in_the_order_of_the_file(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON has the summary, a row per request and the source of the step times."""
    assert main(["simulate", str(stream), *ENGINE]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"summary", "requests", "step_times"}
    assert set(answer["summary"]) == {
        "makespan_s",
        "ttft_s",
        "tpot_s",
        "latency_s",
        "output_tokens_s",
        "preemptions",
    }
    assert set(answer["summary"]["ttft_s"]) == {"mean", "p50", "p90", "p99"}
    assert [row["arrival_s"] for row in answer["requests"]] == [2.0, 0.0, 1.0]
    # the second prompt is cached up to the block of its last token
    assert [row["cached_tokens"] for row in answer["requests"]] == [0, 0, 48]
    assert [row["tpot_s"] is None for row in answer["requests"]] == [True, False, False]
    assert answer["step_times"]["kind"] == "roofline"
    assert answer["step_times"]["error"] is None  # of a prior: docs/forecasts.md has its rows


def test_cached_tokens_are_told_by_tier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a KV cache of one prompt, the first one comes from the host when it is sent again."""
    rows = [
        {"arrival_s": at, "input_tokens": 64, "output_tokens": 2, "hash_ids": ids}
        for at, ids in ((0, [1, 2, 3, 4]), (10, [5, 6, 7, 8]), (20, [1, 2, 3, 4]))
    ]
    path = tmp_path / "stream.jsonl"
    path.write_text("\n".join(json.dumps(row | {"block_tokens": 16}) for row in rows))
    words = [*ENGINE, "--kv-blocks", "5", "--set", "kv-offloading-size=1"]
    assert main(["simulate", str(path), *words]) == 0
    found = json.loads(capsys.readouterr().out)["requests"]
    tiers = [(row["cached_tokens"], row["host_cached_tokens"]) for row in found]
    assert tiers == [(0, 0), (0, 0), (64, 64)]


def test_phases_on_engines_of_their_own_are_compared_with_replicas(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One engine of each kind beside two replicas: named, and with the goodput of both."""
    words = ["--prefill-engines", "1", "--decode-engines", "1", "--slo", "ttft=1"]
    assert main(["simulate", str(stream), *ENGINE, *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["engines"] == {"prefill": 1, "decode": 1}
    assert answer["aggregated"]["replicas"] == 2
    assert answer["aggregated"]["attainment"] == answer["slo"]["attainment"] == 1
    assert main(["simulate", str(stream), *ENGINE[:-1], *words]) == 0
    printed = capsys.readouterr()
    assert "1 prefill and 1 decode engines, each 1 h100-sxm" in printed.out
    assert "2 x 1 h100-sxm, llama-3.1-8b instead: 100.0% of the requests" in printed.err
    assert main(["simulate", str(stream), *ENGINE, *words, "--sweep"]) == 0
    assert json.loads(capsys.readouterr().out)["aggregated_largest"]["attainment"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prefill-engines", "1"], "name both numbers"),
        (["--prefill-engines", "1", "--decode-engines", "1", "--replicas", "2"], "either replicas"),
    ],
)
def test_a_layout_that_serves_nothing_is_refused(
    stream: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """Prefill engines alone, and both kinds beside replicas."""
    assert main(["simulate", str(stream), *ENGINE, *words]) == 2
    assert message in capsys.readouterr().err


def test_a_table_says_where_its_step_times_come_from(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --json the numbers are a table, and their source stands on stderr."""
    assert main(["simulate", str(stream), *ENGINE[:-1], "--replicas", "2"]) == 0
    printed = capsys.readouterr()
    assert "3 requests on 2 x 1 h100-sxm, llama-3.1-8b (simulated)" in printed.out
    assert "step times: roofline" in printed.err


def test_data_parallel_ranks_are_counted_as_gpus(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mixture of experts on two ranks of two GPUs, twice behind a router, takes eight GPUs."""
    words = ["--shape", "qwen3-30b-a3b", "--gpu", "h100", "--tp", "2", "--replicas", "2"]
    words += ["--router", "prefix-aware", "--set", "data-parallel-size=2"]
    words += ["--set", "enable-expert-parallel"]
    assert main(["simulate", str(stream), *words]) == 0
    assert "3 requests on 2 x 4 h100-sxm, qwen3-30b-a3b" in capsys.readouterr().out


def test_an_slo_adds_the_goodput(stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All three requests meet five seconds, and none a microsecond."""
    assert main(["simulate", str(stream), *ENGINE, "--slo", "latency=5"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["slo"]["attainment"] == 1
    assert answer["slo"]["goodput"] == pytest.approx(3 / answer["summary"]["makespan_s"])
    assert main(["simulate", str(stream), *ENGINE, "--slo", "ttft=1e-6"]) == 0
    assert json.loads(capsys.readouterr().out)["slo"]["goodput"] == 0


def test_gpu_seconds_of_requests_sum_to_gpus_and_time(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two replicas of two GPUs for the makespan; recomputation is within prefill."""
    words = ["--tp", "2", "--replicas", "2", "--gpu-seconds"]
    assert main(["simulate", str(stream), *ENGINE, *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    parts = ("prefill", "decode_marginal", "decode_floor", "idle")
    total = sum(row[part] for row in answer["gpu_seconds"] for part in parts)
    assert total == pytest.approx(4 * answer["summary"]["makespan_s"], rel=1e-9)
    assert all(row["recompute"] == 0 for row in answer["gpu_seconds"])


def test_a_sweep_finds_the_largest_load(stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The largest of the loads at which all requests meet the SLO; a table without --json."""
    words = ["--sweep", "--slo", "ttft=0.05", "--attainment", "1"]
    assert main(["simulate", str(stream), *ENGINE, *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    rates = [point["rate"] for point in answer["points"] if point["attainment"] == 1]
    assert answer["largest"]["rate"] == max(rates)
    assert main(["simulate", str(stream), *ENGINE[:-1], *words]) == 0
    printed = capsys.readouterr()
    assert "goodput requests/s" in printed.out
    assert "largest load at which 100% of requests meet the SLO (ttft=0.05)" in printed.err


SGLANG = ["--engine", "sglang"]


def test_sglang_has_its_own_scheduler_and_flags(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its cache is exact per token: 63 of 64 are found, or none without it; routers work alike."""
    assert main(["simulate", str(stream), *ENGINE, *SGLANG]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["cached_tokens"] for row in answer["requests"]] == [0, 0, 63]
    words = ["--set", "disable-radix-cache", "--set", "page-size=16", "--set", "tp-size=2"]
    words += ["--set", "dp-size=2", "--set", "chunked-prefill-size=-1", "--gpu-seconds"]
    assert main(["simulate", str(stream), *ENGINE, *SGLANG, *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["cached_tokens"] for row in answer["requests"]] == [0, 0, 0]
    spent = sum(sum(row.values()) - row["recompute"] for row in answer["gpu_seconds"])
    assert spent == pytest.approx(4 * answer["summary"]["makespan_s"], rel=1e-9)
    words = ["--replicas", "2", "--router", "prefix-aware"]
    assert main(["simulate", str(stream), *ENGINE[:-1], *SGLANG, *words]) == 0
    assert "3 requests on 2 x 1 h100-sxm, llama-3.1-8b, SGLang" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu", "h900"], "unknown GPU `h900`; known: a100-80gb"),
        (["--shape", "llama-9"], "unknown model shape `llama-9`"),
        (["--gpu", "l4"], "does not fit; use more GPUs"),
        (["--tp", "3"], "has 32 attention heads, which 3 tensor-parallel ranks"),
        (["--set", "max-num-sequences=3"], "does not model `max-num-sequences`"),
        (["--set", "max-num-seqs=many"], "a positive whole number is needed"),
        (["--set", "quantization=fp7"], "unknown weight format `fp7`"),
        (["--kernels", "nowhere"], "there is no folder of kernel tables `nowhere`"),
        (["--sweep"], "a sweep looks for the largest load that meets an SLO: name one"),
        (["--slo", "ttft"], "is not an SLO: give seconds for one or more of ttft, tpot, latency"),
        (["--kv-blocks", "3"], "needs 5 KV blocks of 16 tokens, and the engine has 3"),
        ([*SGLANG, "--set", "enable-mixed-chunk"], "does not model `enable-mixed-chunk`"),
        ([*SGLANG, "--set", "max-num-seqs=3"], "does not model `max-num-seqs`"),
        (
            [*SGLANG, "--set", "page-size=16", "--set", "chunked-prefill-size=100"],
            "`chunked-prefill-size=100` is not a multiple of `page-size=16`",
        ),
        (
            [*SGLANG, "--set", "schedule-conservativeness=0"],
            "`schedule-conservativeness=0`: a positive number is needed",
        ),
        ([*SGLANG, "--set", "mem-fraction-static=0.1"], "does not fit; use more GPUs"),
        ([*SGLANG, "--set", "max-total-tokens=60"], "needs 77 KV blocks of 1 tokens"),
    ],
)
def test_wrong_input_is_named(
    stream: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake ends with exit code 2 and says what is wrong."""
    shape = ["--shape", "llama-3.1-70b"] if words == ["--gpu", "l4"] else []
    assert main(["simulate", str(stream), *ENGINE, *shape, *words]) == 2
    assert message in capsys.readouterr().err


def test_a_line_without_lengths_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A request without `output_tokens` is refused with its line."""
    path = tmp_path / "stream.jsonl"
    path.write_text('{"arrival_s": 0, "input_tokens": 5, "output_tokens": 1}\n{"arrival_s": 1}\n')
    assert main(["simulate", str(path), *ENGINE]) == 2
    assert "stream.jsonl:2: `arrival_ns` or `arrival_s`" in capsys.readouterr().err


SPECULATION = 'speculative-config={"method": "ngram", "num_speculative_tokens": 4, %s}'
LOOKUP = '"prompt_lookup_min": 2, "prompt_lookup_max": 4'


def test_a_file_drafts_as_much_as_is_assumed(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nine decoded tokens at three per step take three steps; the basis says that it is assumed."""
    drafting = ["--set", SPECULATION % LOOKUP, "--acceptance-length", "3", "--gpu-seconds"]
    assert main(["simulate", str(stream), *ENGINE, *drafting]) == 0
    answer = json.loads(capsys.readouterr().out)
    said = answer["speculation"]
    assert said["basis"] == "assumed acceptance length 3"
    assert said["config"] == "ngram 2-4, 4 tokens"
    assert (said["drafted_tokens"], said["accepted_tokens"]) == (24, 12)
    assert (said["acceptance_rate"], said["tokens_per_step"]) == (0.5, 3)
    rejected = [row["decode_rejected"] for row in answer["gpu_seconds"]]
    assert sum(rejected) == pytest.approx(said["rejected_gpu_s"])
    assert rejected[0] == 0 < min(rejected[1:])


def test_speculation_without_text_or_assumption_is_refused(
    stream: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each refusal says what is missing, and how to go on."""
    drafting = ["--set", SPECULATION % LOOKUP]
    assert main(["simulate", str(stream), *ENGINE, *drafting]) == 2
    assert "--acceptance-length" in capsys.readouterr().err
    assert main(["simulate", str(stream), *ENGINE, "--acceptance-length", "2"]) == 2
    assert "speculative-config" in capsys.readouterr().err
    eagle = ["--set", 'speculative-config={"method": "eagle3"}']
    assert main(["simulate", str(stream), *ENGINE, *eagle]) == 2
    assert "`eagle3` is not modelled" in capsys.readouterr().err
    assert main(["simulate", *ENGINE]) == 2
    assert "--source NAME" in capsys.readouterr().err


def test_stored_sessions_are_served_in_a_closed_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows have the calls' ids; the second call waits for the first and for its tool.

    Speculation is computed on the text, and is faster.
    """
    path = tmp_path / "stored.duckdb"
    with Store.own(path) as store:
        write_repeating_sessions(store, 2)
    words = ["--db", str(path), "--source", SOURCE, *ENGINE]
    assert main(["simulate", *words]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [row["call_id"] for row in plain["requests"]] == ["s0.0", "s0.1", "s1.0", "s1.1"]
    first, second, *_ = plain["requests"]
    assert second["arrival_s"] == pytest.approx(first["arrival_s"] + first["latency_s"] + 9)
    assert main(["simulate", *words, "--set", SPECULATION % LOOKUP]) == 0
    drafted = json.loads(capsys.readouterr().out)
    assert drafted["speculation"]["basis"] == "computed on estimated tokens (pieces of text)"
    assert drafted["speculation"]["accepted_tokens"] > 0
    assert drafted["requests"][1]["latency_s"] < plain["requests"][1]["latency_s"]
    words += ["--sweep", "--slo", "ttft=1"]
    assert main(["simulate", *words]) == 2
    assert "needs a FILE with arrivals" in capsys.readouterr().err

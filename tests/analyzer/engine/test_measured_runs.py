"""`phasewise simulate` against vLLM's own record of two runs, with no constant fitted to them."""

import json
from collections.abc import Mapping

import numpy as np
import pytest
from phasewise_web.cli.main import main

from tests.analyzer.engine.measured_runs import FloatArray, folder, vllm_run

RUNS = {
    "RTXPRO6000": ["--set", "max-num-seqs=128", "--set", "max-num-batched-tokens=2048"],
    "RTX4090": [
        "--set",
        "max-num-seqs=256",
        "--set",
        "max-num-batched-tokens=2048",
        "--kv-blocks",
        "2588",
    ],
}


@pytest.mark.parametrize("gpu", RUNS)
def test_a_run_takes_the_time_that_vllm_took(gpu: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Means within 4 % (TTFT), 1 % (TPOT) and 2 % (latency); medians and p99 within 6 %."""
    data = folder("llmservingsim")
    measured = vllm_run(data / "runs" / gpu / "Llama-3.1-8B" / "requests.jsonl")
    kernels = data / "kernels" / gpu / "meta-llama" / "Llama-3.1-8B" / "bf16"
    stream = data / "workloads" / "sharegpt-llama-3.1-8b-300-sps10.jsonl.gz"
    words = ["simulate", str(stream), "--shape", "llama-3.1-8b", "--gpu", gpu]
    assert main([*words, "--kernels", str(kernels), *RUNS[gpu], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["step_times"]["kind"] == "kernels"
    assert len(answer["requests"]) == 300
    summary = answer["summary"]
    _holds(summary["ttft_s"], measured.ttft, mean=0.04)
    _holds(summary["tpot_s"], measured.tpot, mean=0.01)
    _holds(summary["latency_s"], measured.latency, mean=0.02)


def _holds(found: Mapping[str, float], measured: FloatArray, *, mean: float) -> None:
    assert found["mean"] == pytest.approx(float(measured.mean()), rel=mean)
    p50, p99 = np.percentile(measured, [50, 99])
    assert found["p50"] == pytest.approx(float(p50), rel=0.06)
    assert found["p99"] == pytest.approx(float(p99), rel=0.06)

"""Prints docs/forecasts.md: the roofline prior against measured servers, row by row.

The runs are in ../shared/validation/vllm-cost-meter beside the checkout (MIT, pChitral).
"""

import csv
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from phasewise_analyzer.engine import gpus, model_config
from phasewise_analyzer.engine.deployment import deploy
from phasewise_analyzer.engine.request import Request
from phasewise_analyzer.engine.simulation import simulate
from phasewise_analyzer.engine.summary import Summary, summarise

RUNS = (
    Path(__file__).resolve().parents[2]
    / "shared"
    / "validation"
    / "vllm-cost-meter"
    / "master_results.csv"
)
SHAPES = {
    "Meta-Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b",
    "Mixtral-8x7B-Instruct-v0.1": "mixtral-8x7b",
}
REQUESTS = 500
"""of one run: what its makespan and throughput imply"""
INPUT_TOKENS, OUTPUT_TOKENS = 512, 256
SATURATED_RPS = 200

HEAD = f"""# Forecasts against measured servers

Printed by `make forecasts`.

Each row is one run of `vllm bench serve` from vllm-cost-meter (arXiv 2606.11690): {REQUESTS}
requests, Poisson arrivals, {INPUT_TOKENS} tokens in and {OUTPUT_TOKENS} out, random text, vLLM
0.19.0. The forecast is `phasewise simulate` without kernel tables: the roofline prior, from the
GPU's datasheet and the model's config.json.

Two of its constants were chosen after looking at these runs: the host time per sequence (on C1),
and the efficiency that is left when a GPU has to convert FP8 weights (on A2 and A4). The efficiency
of expert layers and the time to start a kernel were each compared with one other value and kept.
Runs of SGLang are left out: its scheduler is not modelled yet.
"""


def main(path: Path) -> None:
    """Print the page."""
    print(HEAD)
    print("## Saturated throughput\n")
    print("| configuration | measured tokens/s | forecast | error |\n|---|--:|--:|--:|")
    found = list(forecasts(path))
    saturated = [one for one in found if int(one[0]["rps"]) == SATURATED_RPS]
    for row, forecast in sorted(saturated, key=lambda one: -float(one[0]["tps_output"])):
        print(f"| {_configuration(row)} | {_throughput(row, forecast)} |")
    print("\n## Every rate\n")
    print(
        "| configuration | requests/s | measured tokens/s | forecast | error "
        "| measured TPOT p50 ms | forecast | measured TTFT p50 ms | forecast |"
        "\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for row, forecast in sorted(found, key=lambda one: (one[0]["config"], int(one[0]["rps"]))):
        assert forecast.tpot_s is not None
        waits = (
            f"{float(row['tpot_p50_ms']):.1f} | {forecast.tpot_s.p50 * 1e3:.1f} | "
            f"{float(row['ttft_p50_ms']):,.0f} | {forecast.ttft_s.p50 * 1e3:,.0f}"
        )
        print(f"| {_configuration(row)} | {row['rps']} | {_throughput(row, forecast)} | {waits} |")


def forecasts(path: Path) -> Iterator[tuple[Mapping[str, str], Summary]]:
    """Yield each run of vLLM with its forecast."""
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["engine"] == "vllm":
                yield row, forecast(row)


def forecast(row: Mapping[str, str]) -> Summary:
    """Simulate one run."""
    engine = deploy(
        model_config.known(SHAPES[row["model"].split("/")[1]]),
        gpus.find(row["hardware"]),
        {"quantization": "fp8"} if row["precision"] == "fp8" else {},
        tp=int(row["gpus"]),
    )
    drawn, now = random.Random(1), 0.0
    requests = []
    for _ in range(REQUESTS):
        now += drawn.expovariate(float(row["rps"]))
        requests.append(Request(now, INPUT_TOKENS, OUTPUT_TOKENS, ()))
    outcome = simulate(requests, engine.times, engine.config, blocks=engine.blocks)
    return summarise(outcome.served, outcome.preemptions)


def _configuration(row: Mapping[str, str]) -> str:
    model = SHAPES[row["model"].split("/")[1]]
    return f"{row['config']}: {model}, {row['precision']}, {row['gpus']} x {row['hardware']}"


def _throughput(row: Mapping[str, str], forecast: Summary) -> str:
    measured = float(row["tps_output"])
    error = forecast.output_tokens_s / measured - 1
    return f"{measured:,.0f} | {forecast.output_tokens_s:,.0f} | {error:+.0%}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RUNS)

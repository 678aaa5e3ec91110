"""Prints docs/forecasts.md: the roofline against measured servers, row by row.

First the prior alone, then tuned to each server's runs at 1 and 10 requests/s. Takes some minutes.
The runs are in ../shared/validation/vllm-cost-meter beside the checkout (MIT, pChitral).
"""

import csv
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from phasewise_analyzer.engine.deployments.deployment import Deployment, deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.outcomes import load_fit
from phasewise_analyzer.engine.outcomes.load_fit import MeasuredLoad
from phasewise_analyzer.engine.outcomes.summary import Summary, summarise
from phasewise_analyzer.engine.runs.replicas import serve
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.step_times.roofline import Efficiency

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
GPUS = {"H100": "h100-nvl", "A100_80GB_PCIe": "a100-pcie"}
REQUESTS = 500
"""of one run: what its makespan and throughput imply"""
INPUT_TOKENS, OUTPUT_TOKENS = 512, 256
SATURATED_RPS = 200
CALIBRATED_RPS = (1, 10)
DRAWS = 3
"""of the unknown arrivals of a run, to tell how far chance moves its medians"""

HEAD = f"""# Forecasts against measured servers

Printed by `make forecasts`.

Each row is one run of `vllm bench serve` from vllm-cost-meter (arXiv 2606.11690): {REQUESTS}
requests, Poisson arrivals, {INPUT_TOKENS} tokens in and {OUTPUT_TOKENS} out, random text, vLLM
0.19.0. Runs of SGLang are left out: its scheduler is not modelled yet.

- **Prior**: `phasewise simulate` without kernel tables: the roofline, from the GPU's datasheet and
  the model's config.json.
- **Calibrated**: its efficiencies tuned to two runs of each configuration, at
  {CALIBRATED_RPS[0]} and {CALIBRATED_RPS[1]} requests/s (`load_fit.py`). The other rates are
  forecasts.

What was chosen after looking at these runs:

- The GPU. The corpus says H100 80 GB; its runs are forecast as H100 NVL 94 GB. No run draws
  400 W, and C3 has more requests in flight than 80 GB hold.
- Of the prior: the host time per sequence (on C1), and the efficiency that is left when a GPU has
  to convert FP8 weights (on A2 and A4). The efficiency of expert layers and the time to start a
  kernel were each compared with one other value and kept.
- Of the calibration: which terms it tunes, where they start, and how far each may move; about eight
  ways were tried.
"""


@dataclass(frozen=True)
class Forecast:
    """One run, measured and forecast."""

    row: Mapping[str, str]
    prior: Summary
    calibrated: Summary

    @property
    def rps(self) -> int:
        """Requests per second."""
        return int(self.row["rps"])


def main(path: Path) -> None:
    """Print the page."""
    print(HEAD)
    found = list(forecasts(path))
    print("## Saturated throughput\n")
    print("| configuration | measured tokens/s | prior | error | calibrated | error |")
    print("|---|--:|--:|--:|--:|--:|")
    saturated = [one for one in found if one.rps == SATURATED_RPS]
    for one in sorted(saturated, key=lambda one: -float(one.row["tps_output"])):
        print(f"| {_configuration(one.row)} | {_throughput(one)} |")
    print("\n## Largest error of throughput at rates that the calibration has not seen\n")
    print("| configuration | prior | calibrated |\n|---|--:|--:|")
    for name, runs in groupby(found, key=lambda one: _configuration(one.row)):
        unseen = [one for one in runs if one.rps not in CALIBRATED_RPS]
        prior = max((_error(one.row, one.prior) for one in unseen), key=abs)
        calibrated = max((_error(one.row, one.calibrated) for one in unseen), key=abs)
        print(f"| {name} | {prior:+.0%} | {calibrated:+.1%} |")
    print("\n## Every rate\n")
    print(
        "| configuration | requests/s | measured tokens/s | prior | error | calibrated | error "
        "| measured TPOT p50 ms | prior | calibrated | measured TTFT p50 ms | prior | calibrated |"
        "\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for one in found:
        print(f"| {_configuration(one.row)} | {one.rps} | {_throughput(one)} | {_waits(one)} |")


def forecasts(path: Path) -> Iterator[Forecast]:
    """Yield each run of vLLM with its forecasts, by configuration and rate."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["engine"] == "vllm"]
    rows.sort(key=lambda row: (row["config"], int(row["rps"])))
    for _, group in groupby(rows, key=lambda row: row["config"]):
        runs = list(group)
        engine = partial(deployment, runs[0])
        loads = [measured_load(row) for row in runs if int(row["rps"]) in CALIBRATED_RPS]
        tuned = load_fit.fit(engine, loads)
        calibrated = replace(engine(tuned.efficiency), front=tuned.front)
        for row in runs:
            stream = arrivals(float(row["rps"]), draw=1)
            yield Forecast(row, summary(stream, engine(Efficiency())), summary(stream, calibrated))


def deployment(row: Mapping[str, str], efficiency: Efficiency) -> Deployment:
    """Set the engine of a run up."""
    return deploy(
        model_config.known(SHAPES[row["model"].split("/")[1]]),
        gpus.find(GPUS[row["hardware"]]),
        {"quantization": "fp8"} if row["precision"] == "fp8" else {},
        tp=int(row["gpus"]),
        efficiency=efficiency,
    )


def measured_load(row: Mapping[str, str]) -> MeasuredLoad:
    """Return what a run measured."""
    return MeasuredLoad(
        draws=[arrivals(float(row["rps"]), draw=draw) for draw in range(1, DRAWS + 1)],
        output_tokens_s=float(row["tps_output"]),
        tpot_s=float(row["tpot_p50_ms"]) / 1e3,
        ttft_s=float(row["ttft_p50_ms"]) / 1e3,
        latency_s=float(row["e2el_p50_ms"]) / 1e3,
    )


def arrivals(rps: float, *, draw: int) -> list[Request]:
    """Draw the requests of a run."""
    drawn, now = random.Random(draw), 0.0
    requests = []
    for _ in range(REQUESTS):
        now += drawn.expovariate(rps)
        requests.append(Request(now, INPUT_TOKENS, OUTPUT_TOKENS, ()))
    return requests


def summary(stream: Sequence[Request], engine: Deployment) -> Summary:
    """Simulate one run."""
    outcome = serve(stream, engine)
    return summarise(outcome.served, outcome.preemptions)


def _configuration(row: Mapping[str, str]) -> str:
    model = SHAPES[row["model"].split("/")[1]]
    return f"{row['config']}: {model}, {row['precision']}, {row['gpus']} x {row['hardware']}"


def _error(row: Mapping[str, str], forecast: Summary) -> float:
    return forecast.output_tokens_s / float(row["tps_output"]) - 1


def _throughput(one: Forecast) -> str:
    measured = f"{float(one.row['tps_output']):,.0f}"
    return " | ".join(
        [measured]
        + [
            f"{forecast.output_tokens_s:,.0f} | {_error(one.row, forecast):+.0%}"
            for forecast in (one.prior, one.calibrated)
        ]
    )


def _waits(one: Forecast) -> str:
    prior, calibrated = one.prior, one.calibrated
    assert prior.tpot_s is not None
    assert calibrated.tpot_s is not None
    tpots = (prior.tpot_s.p50, calibrated.tpot_s.p50)
    ttfts = (prior.ttft_s.p50, calibrated.ttft_s.p50)
    return " | ".join(
        [f"{float(one.row['tpot_p50_ms']):.1f}"]
        + [f"{seconds * 1e3:.1f}" for seconds in tpots]
        + [f"{float(one.row['ttft_p50_ms']):,.0f}"]
        + [f"{seconds * 1e3:,.0f}" for seconds in ttfts]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RUNS)

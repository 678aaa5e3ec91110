"""Simulates an engine that serves a stream of requests: TTFT, TPOT, latency, throughput.

FILE is JSON lines, plain or gzipped: `arrival_ns` or `arrival_s`, `input_tokens`, `output_tokens`,
and optionally `block_tokens` and `hash_ids` of the prompt for prefix caching. The engine is vLLM
with continuous batching. Step times come from measured kernel tables (--kernels) or, without them,
from a roofline over the GPU's datasheet; the output says which. TTFT includes the queue. See
docs/engine-model.md.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from phasewise_analyzer.engine import gpus, model_config, routers, workload
from phasewise_analyzer.engine.batch import Basis
from phasewise_analyzer.engine.deployment import Deployment, deploy
from phasewise_analyzer.engine.replicas import serve
from phasewise_analyzer.engine.request import Served
from phasewise_analyzer.engine.simulation import Outcome
from phasewise_analyzer.engine.summary import Spread, Summary, summarise

from phasewise_web.cli.output import print_json, progress, say, table

NAME = "simulate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the workload, the engine and --json."""
    parser.add_argument("file", metavar="FILE", type=Path, help="requests, as JSON lines")
    parser.add_argument(
        "--shape",
        required=True,
        metavar="NAME_OR_CONFIG",
        help="model shape by name, e.g. llama-3.1-8b, or the path of a config.json",
    )
    parser.add_argument("--gpu", required=True, metavar="NAME", help="e.g. h100-sxm, rtx-4090")
    parser.add_argument(
        "--kernels", metavar="FOLDER", type=Path, help="measured kernel tables (CSV)"
    )
    parser.add_argument("--tp", metavar="N", type=_positive, default=1, help="tensor parallelism")
    parser.add_argument(
        "--replicas", metavar="N", type=_positive, default=1, help="engines behind the router"
    )
    parser.add_argument(
        "--router",
        choices=sorted(routers.ROUTERS),
        help="how replicas are chosen (default: round-robin)",
    )
    parser.add_argument(
        "--set",
        dest="flags",
        metavar="FLAG=VALUE",
        action="append",
        type=_flag,
        default=[],
        help="a flag of vLLM, e.g. max-num-seqs=128; can be repeated",
    )
    parser.add_argument(
        "--kv-blocks",
        metavar="N",
        type=_positive,
        help="KV blocks of one engine (default: what its memory holds beside the weights)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print."""
    engine = deploy(
        model_config.find(arguments.shape),
        gpus.find(arguments.gpu),
        dict(arguments.flags),
        tp=arguments.tp,
        kernels=arguments.kernels,
        blocks=arguments.kv_blocks,
    )
    requests = workload.read(arguments.file, engine.config.block_size)
    router = routers.named(arguments.router) if arguments.router else None
    with progress("simulating"):
        found = serve(requests, engine, replicas=arguments.replicas, router=router)
    summary = summarise(found.served, found.preemptions)
    if arguments.json:
        print_json(
            {
                "summary": asdict(summary),
                "requests": [_row(one) for one in found.served],
                "step_times": asdict(engine.times.basis),
            }
        )
        return 0
    _print(summary, found, engine, arguments.replicas)
    return 0


def _row(served: Served) -> dict[str, float | int | None]:
    return {
        "arrival_s": served.arrival_s,
        "ttft_s": served.ttft_s,
        "tpot_s": served.tpot_s,
        "latency_s": served.latency_s,
        "cached_tokens": served.cached_tokens,
    }


def _print(summary: Summary, found: Outcome, engine: Deployment, replicas: int) -> None:
    measures = [("TTFT", summary.ttft_s, 3), ("TPOT", summary.tpot_s, 4)]
    measures.append(("latency", summary.latency_s, 3))
    rows = [
        (name, *(f"{value:,.{digits}f}" for value in _values(spread)))
        for name, spread, digits in measures
        if spread is not None
    ]
    title = (
        f"{len(found.served):,} requests on {replicas} x {engine.gpus} {engine.gpu.name}, "
        f"{engine.shape.name} (simulated)"
    )
    columns = [("seconds", False), ("mean", True), ("p50", True), ("p90", True), ("p99", True)]
    table(title, columns, rows)
    cached = sum(one.cached_tokens for one in found.served)
    table(
        "",
        [
            ("makespan s", True),
            ("output tokens/s", True),
            ("cached tokens", True),
            ("KV blocks", True),
            ("preemptions", True),
            ("prefill GPU-s", True),
            ("decode GPU-s", True),
        ],
        [
            (
                f"{summary.makespan_s:,.1f}",
                f"{summary.output_tokens_s:,.0f}",
                f"{cached:,}",
                f"{engine.blocks:,}",
                f"{summary.preemptions:,}",
                f"{found.prefill_s * engine.tp:,.1f}",
                f"{(found.busy_s - found.prefill_s) * engine.tp:,.1f}",
            )
        ],
    )
    say(f"step times: {_described(engine.times.basis)}")


def _values(spread: Spread) -> tuple[float, float, float, float]:
    return spread.mean, spread.p50, spread.p90, spread.p99


def _described(basis: Basis) -> str:
    error = "error not measured" if basis.error is None else f"mean error {basis.error:.0%}"
    return f"{basis.kind}, {basis.source}, {error}"


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a positive whole number")
    return int(text)


def _flag(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"`{text}` is not FLAG=VALUE")
    return name, value

"""Simulates an engine that serves a stream of requests: TTFT, TPOT, latency, throughput.

FILE is JSON lines, plain or gzipped: `arrival_ns` or `arrival_s`, `input_tokens`, `output_tokens`,
and optionally `block_tokens` and `hash_ids` of the prompt for prefix caching. The engine is vLLM,
or SGLang (--engine), with continuous batching. Step times come from a measured server
(--calibration), from measured kernel tables (--kernels), or else from a roofline over the GPU's
datasheet; the output says which. TTFT includes the queue. See docs/engine-model.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from phasewise_analyzer.engine.deployments import calibration, deployment, sglang_deployment
from phasewise_analyzer.engine.deployments.deployment import Deployment, calibrated
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.outcomes import slo
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_analyzer.engine.outcomes.summary import Spread, Summary, summarise
from phasewise_analyzer.engine.outcomes.sweep import Frontier, sweep
from phasewise_analyzer.engine.runs import attribution, routers
from phasewise_analyzer.engine.runs.layout import Layout
from phasewise_analyzer.engine.runs.simulation import Outcome
from phasewise_analyzer.engine.schedulers.offloading import OffloadingConfig
from phasewise_analyzer.engine.schedulers.request import Request, Served
from phasewise_analyzer.engine.shapes import model_config
from phasewise_store.errors import UsageError

from phasewise_web.cli import simulated_workload, speculation_output, sweep_output
from phasewise_web.cli.output import print_json, progress, say, table

NAME = "simulate"

ATTAINMENT = 0.9
"""as DistServe counts goodput (arXiv 2401.09670)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the workload, the engine and --json."""
    simulated_workload.add_arguments(parser, _positive)
    parser.add_argument(
        "--shape",
        metavar="NAME_OR_CONFIG",
        help="model shape by name, e.g. llama-3.1-8b, or the path of a config.json",
    )
    parser.add_argument("--gpu", metavar="NAME", help="e.g. h100-sxm, rtx-4090")
    parser.add_argument(
        "--engine", choices=("vllm", "sglang"), help="whose scheduler and flags (default: vllm)"
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        type=Path,
        help="a server measured with `phasewise calibrate`, instead of --shape and --gpu",
    )
    parser.add_argument(
        "--kernels", metavar="FOLDER", type=Path, help="measured kernel tables (CSV)"
    )
    parser.add_argument(
        "--aiconfigurator",
        metavar="MODEL",
        help="step times of this model on Hugging Face by AIConfigurator, an extra",
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
        "--prefill-engines",
        metavar="N",
        type=_positive,
        default=0,
        help="engines that only read prompts, instead of --replicas; needs --decode-engines",
    )
    parser.add_argument(
        "--decode-engines",
        metavar="M",
        type=_positive,
        default=0,
        help="engines that only generate; with --slo, compared with N + M replicas",
    )
    parser.add_argument(
        "--kv-copy-gb-s",
        metavar="GB_S",
        type=_amount,
        help="bandwidth per GPU between them (default: the link between GPUs of one machine)",
    )
    parser.add_argument(
        "--set",
        dest="flags",
        metavar="FLAG=VALUE",
        action="append",
        type=_flag,
        default=[],
        help="a flag of the engine, e.g. max-num-seqs=128; can be repeated",
    )
    parser.add_argument(
        "--kv-blocks",
        metavar="N",
        type=_positive,
        help="KV blocks of one engine (default: what its memory holds beside the weights)",
    )
    parser.add_argument(
        "--slo",
        metavar="LIMITS",
        help="limits in seconds, e.g. ttft=2,tpot=0.05 (also: latency); prints the goodput",
    )
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="send the stream faster and slower, and find the largest load that meets --slo",
    )
    parser.add_argument(
        "--attainment",
        metavar="SHARE",
        type=_share,
        default=ATTAINMENT,
        help=f"share of requests that has to meet --slo in a sweep (default: {ATTAINMENT})",
    )
    parser.add_argument(
        "--gpu-seconds",
        action="store_true",
        help="with --json: GPU-seconds of each request, by phase, shared floor and idle",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print."""
    engine = _engine(arguments)
    workload = simulated_workload.read(arguments, engine)
    limits = slo.parse(arguments.slo) if arguments.slo is not None else None
    if arguments.sweep and limits is None:
        raise UsageError(
            "a sweep looks for the largest load that meets an SLO: name one, as in  "
            "--slo ttft=2,tpot=0.05"
        )

    layout = _layout(arguments)
    if arguments.sweep and limits is not None:
        assert workload.requests is not None, "a sweep reads a file"
        frontiers = [
            _swept(workload.requests, engine, one, limits, share=arguments.attainment)
            for one in ([layout, layout.aggregated] if layout.prefill else [layout])
        ]
        sweep_output.show(frontiers, engine, layout, arguments)
        return 0
    with progress("simulating"):
        found = workload.serve(layout)
        together = None
        if layout.prefill and limits is not None:
            together = workload.serve(layout.aggregated)
    summary = summarise(found.served, found.preemptions)
    if arguments.json:
        answer = {
            "summary": asdict(summary),
            "requests": _rows(found, engine, workload.call_ids),
            "step_times": asdict(engine.times.basis),
        }
        if workload.speculation is not None:
            answer["speculation"] = speculation_output.of(found, engine, workload.speculation)
        if limits is not None:
            answer["slo"] = asdict(limits) | _goodput(limits, found)
        if layout.prefill:
            answer["engines"] = {"prefill": layout.prefill, "decode": layout.decode}
        if limits is not None and together is not None:
            answer["aggregated"] = _goodput(limits, together, replicas=layout.engines)
        if arguments.gpu_seconds:
            answer["gpu_seconds"] = _gpu_seconds(found, engine, layout)
        print_json(answer)
        return 0
    _print(summary, found, engine, layout)
    if workload.speculation is not None:
        speculation_output.show(found, engine, workload.speculation)
    if limits is not None:
        say(_attained(limits, found))
    if limits is not None and together is not None:
        say(f"{layout.aggregated.name(engine)} instead: {_attained(limits, together)}")
    return 0


def _layout(arguments: argparse.Namespace) -> Layout:
    """Read how many engines there are, and what they do."""
    copy_gb_s = arguments.kv_copy_gb_s
    return Layout(
        arguments.replicas,
        arguments.router,
        arguments.prefill_engines,
        arguments.decode_engines,
        None if copy_gb_s is None else copy_gb_s * 1e9,
    )


def _swept(
    requests: Sequence[Request], engine: Deployment, layout: Layout, limits: Slo, *, share: float
) -> Frontier:
    with progress(f"sweeping {layout.name(engine)}"):
        return sweep(requests, lambda some: layout.serve(some, engine), limits, share=share)


def _attained(limits: Slo, found: Outcome) -> str:
    attained = _goodput(limits, found)
    return (
        f"{attained['attainment']:.1%} of the requests meet the SLO: "
        f"{attained['goodput']:.2f} requests/s"
    )


def _gpu_seconds(found: Outcome, engine: Deployment, layout: Layout) -> list[dict[str, float]]:
    """Return what each request took of the GPUs; all of them sum to GPUs x makespan."""
    wall_s = summarise(found.served, found.preemptions).makespan_s
    ranks = engine.ranks * engine.engines * layout.engines
    idle = attribution.idle_shares([one.busy_s for one in found.served], wall_s * ranks)
    return [
        {
            "prefill": one.prefill_s * engine.tp,
            "recompute": one.recompute_s * engine.tp,
            "decode_marginal": one.marginal_s * engine.tp,
            "decode_rejected": one.rejected_s * engine.tp,
            "decode_floor": one.floor_s * engine.tp,
            "idle": idle_s * engine.tp,
        }
        for one, idle_s in zip(found.served, idle, strict=True)
    ]


def _goodput(limits: Slo, found: Outcome, **more: float) -> dict[str, float]:
    served = found.served
    return {"attainment": limits.attainment(served), "goodput": limits.goodput(served), **more}


def _engine(arguments: argparse.Namespace) -> Deployment:
    """Set the engine up: as measured, or from a shape and a GPU."""
    flags = dict(arguments.flags)
    if arguments.calibration is not None:
        named = (
            *(arguments.shape, arguments.gpu, arguments.kernels, arguments.engine),
            arguments.aiconfigurator,
        )
        if any(named) or arguments.tp != 1:
            raise UsageError(
                "--calibration holds for the server it was measured on: leave out --shape, --gpu, "
                "--engine, --kernels, --aiconfigurator and --tp"
            )
        measured = calibration.read(arguments.calibration)
        return calibrated(measured.with_flags(flags, arguments.kv_blocks))
    if not (arguments.shape and arguments.gpu):
        raise UsageError("name the engine with --shape and --gpu, or with --calibration")
    shape, gpu = model_config.find(arguments.shape), gpus.find(arguments.gpu)
    if arguments.engine == "sglang":
        if arguments.aiconfigurator is not None:
            raise UsageError("--aiconfigurator has times of vLLM only")
        return sglang_deployment.deploy(
            shape,
            gpu,
            flags,
            tp=arguments.tp,
            kernels=arguments.kernels,
            blocks=arguments.kv_blocks,
        )
    return deployment.deploy(
        shape,
        gpu,
        flags,
        tp=arguments.tp,
        kernels=arguments.kernels,
        aiconfigurator=arguments.aiconfigurator,
        blocks=arguments.kv_blocks,
    )


def _rows(
    found: Outcome, engine: Deployment, call_ids: Sequence[str] | None
) -> list[dict[str, object]]:
    """Return what each request experienced; a stored call has its id."""
    rows: list[dict[str, object]] = [dict(_row(one, engine)) for one in found.served]
    for row, call_id in zip(rows, call_ids or (), strict=call_ids is not None):
        row["call_id"] = call_id
    return rows


def _row(served: Served, engine: Deployment) -> dict[str, float | int | None]:
    offloads = isinstance(engine.config, OffloadingConfig)
    tiers = {"host_cached_tokens": served.host_cached_tokens} if offloads else {}
    return {
        "arrival_s": served.arrival_s,
        "ttft_s": served.ttft_s,
        "tpot_s": served.tpot_s,
        "latency_s": served.latency_s,
        "cached_tokens": served.cached_tokens,
        **tiers,
    }


def _print(summary: Summary, found: Outcome, engine: Deployment, layout: Layout) -> None:
    measures = [("TTFT", summary.ttft_s, 3), ("TPOT", summary.tpot_s, 4)]
    measures.append(("latency", summary.latency_s, 3))
    rows = [
        (name, *(f"{value:,.{digits}f}" for value in _values(spread)))
        for name, spread, digits in measures
        if spread is not None
    ]
    title = f"{len(found.served):,} requests on {layout.name(engine)} (simulated)"
    columns = [("seconds", False), ("mean", True), ("p50", True), ("p90", True), ("p99", True)]
    table(title, columns, rows)
    cached = sum(one.cached_tokens for one in found.served)
    table(
        "",
        [
            ("makespan s", True),
            ("output tokens/s", True),
            ("cached tokens", True),
            ("from host", True),
            ("KV blocks", True),
            ("preemptions", True),
            ("prefill GPU-s", True),
            ("decode GPU-s", True),
            ("of it floor", True),
        ],
        [
            (
                f"{summary.makespan_s:,.1f}",
                f"{summary.output_tokens_s:,.0f}",
                f"{cached:,}",
                f"{sum(one.host_cached_tokens for one in found.served):,}",
                "-" if engine.blocks is None else f"{engine.blocks:,}",
                f"{summary.preemptions:,}",
                f"{found.prefill_s * engine.tp:,.1f}",
                f"{(found.busy_s - found.prefill_s) * engine.tp:,.1f}",
                f"{sum(one.floor_s for one in found.served) * engine.tp:,.1f}",
            )
        ],
    )
    say(f"step times: {engine.times.basis.in_words}")


def _values(spread: Spread) -> tuple[float, float, float, float]:
    return spread.mean, spread.p50, spread.p90, spread.p99


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a positive whole number")
    return int(text)


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number above 0")
    return amount


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a share above 0 and up to 1")
    return share


def _flag(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"`{text}` is not FLAG=VALUE")
    return name, value

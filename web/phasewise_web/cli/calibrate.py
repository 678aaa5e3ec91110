"""Measures the step times of a running vLLM or SGLang, for simulations of that server.

Sends designed probes to URL: prompts alone, sequences that decode together, and, where the engine
mixes both in a step, prompts that are read meanwhile. It takes one to three minutes, stops by
itself, and sends at most --sequences requests at once. The server has to be idle. The fit is
written to a file, with its error on steps that it has not seen; `phasewise simulate --calibration
FILE` uses it. With --shape and --gpu, a fit that is faster than the GPU's peak is refused. Of a
vLLM that logs its steps (--step-log FOLDER) mixed steps are measured one by one; the first time,
the option says how to start such a vLLM. See docs/engine-model.md.
"""

import argparse
import hashlib
import json
import re
from pathlib import Path

from phasewise_analyzer.engine.deployments import calibration
from phasewise_analyzer.engine.deployments.calibration import Calibration
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.shapes import formats, model_config
from phasewise_analyzer.engine.step_times.fitted_steps import KINDS
from phasewise_analyzer.engine.step_times.step_fit import Hardware
from phasewise_replay.calibration import measuring
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import VLLM
from phasewise_replay.engines import vllm_plugin
from phasewise_replay.engines.step_log import StepLog
from phasewise_store.errors import UsageError

from phasewise_web.cli.output import print_json, progress, say, table

NAME = "calibrate"

LOG = "steps.jsonl"
"""of steps, in the folder of `--step-log`"""
FOLDER = Path("phasewise-calibrations")
SECONDS, SEQUENCES = 150.0, 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the server, its hardware, the bounds and the output."""
    parser.add_argument("url", metavar="URL", help="address of the server, without /v1")
    parser.add_argument("--gpu", metavar="NAME", help="its GPU, e.g. h100-sxm: servers do not tell")
    parser.add_argument(
        "--shape", metavar="NAME_OR_CONFIG", help="its model's shape; checks the fit with --gpu"
    )
    parser.add_argument("--tp", metavar="N", type=int, default=1, help="tensor parallelism")
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        default=SECONDS,
        help="time to take; up to three times as long where that is too little for a fit",
    )
    parser.add_argument(
        "--sequences", metavar="N", type=int, default=SEQUENCES, help="most requests at once"
    )
    parser.add_argument(
        "--step-log",
        metavar="FOLDER",
        type=Path,
        help="where the vLLM on this machine logs its steps; a new folder gets what it needs",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help=f"where to write it (default: in {FOLDER}/)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Calibrate, write and print."""
    if arguments.seconds <= 0 or arguments.sequences < 1:
        raise UsageError("--seconds and --sequences must be positive")
    log = None if arguments.step_log is None else step_log(arguments.step_log)
    client = OpenAiClient(arguments.url.rstrip("/").removesuffix("/v1"), dialect=VLLM)
    try:
        with progress("probing") as step:
            found = measuring.calibrate(
                client,
                seconds=arguments.seconds,
                sequences=arguments.sequences,
                gpu=gpus.find(arguments.gpu).name if arguments.gpu else None,
                hardware=_hardware(arguments),
                log=log,
                report=step,
            )
    finally:
        client.close()
    path = arguments.out or FOLDER / f"{file_name(found)}.json"
    calibration.write(path, found)
    _print(found, path, as_json=arguments.json)
    return 0


def step_log(folder: Path) -> StepLog:
    """Return the step log in a folder.

    Raises UsageError where a vLLM has yet to be started with it; the folder is then ready for that.
    """
    path = folder.absolute() / LOG
    if path.exists():
        return StepLog(path, drafts=False)
    variables = vllm_plugin.install(folder.absolute(), path, {vllm_plugin.PATH: ""})
    words = " ".join(f"{name}={value}" for name, value in variables.items())
    raise UsageError(
        f"no vLLM has logged its steps in `{folder}` yet.  The folder is ready: start vLLM with  "
        f"{words} … --{vllm_plugin.FLAG}  and calibrate again"
    )


def file_name(found: Calibration) -> str:
    """Name a calibration by its server: equal settings and drafts give the same name."""
    server, drafts = found.server, found.speculation
    settings = json.dumps(dict(server.settings), sort_keys=True, default=str)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
    words = server.name if drafts is None else f"{server.name} {drafts.name}"
    return re.sub(r"[^\w.]+", "-", f"{words} {digest}").strip("-")


def _hardware(arguments: argparse.Namespace) -> Hardware | None:
    """Return what bounds the fit, where the user names it."""
    if not (arguments.gpu and arguments.shape):
        return None
    shape = model_config.find(arguments.shape)
    weights = formats.weights(shape.native_format or "bf16")
    return Hardware(shape, gpus.find(arguments.gpu), weights, formats.cache("auto"), arguments.tp)


def _print(found: Calibration, path: Path, *, as_json: bool) -> None:
    fits = found.times.fits
    if as_json:
        print_json(
            {
                "file": str(path),
                "server": found.server.name,
                "front_s": found.front.latency_s,
                "front_busy_s": found.front.busy_s,
                "front_token_s": found.front.token_s,
                "preparation_s": found.times.preparation.seconds,
                "kinds": {
                    kind: {"steps": fits[kind].steps, "error": fits[kind].error}
                    | {"p90": fits[kind].p90, "worst": fits[kind].worst}
                    for kind in KINDS
                    if kind in fits
                },
            }
        )
        return
    columns = [("steps", False), ("measured", True), ("held-out error", True)]
    columns += [("p90", True), ("worst", True)]
    table(
        f"Calibration of {found.server.name}",
        columns,
        [
            (
                kind,
                f"{fits[kind].steps}",
                f"{fits[kind].error:.1%}",
                f"{fits[kind].p90:.1%}",
                f"{fits[kind].worst:.1%}",
            )
            for kind in KINDS
            if kind in fits
        ],
    )
    preparation_s = found.times.preparation.seconds
    if preparation_s:
        say(f"kernels for a new number of tokens: {preparation_s * 1e3:.1f} ms per step")
    front = found.front
    say(
        f"before the engine: {front.latency_s * 1e3:.1f} ms per request, of which "
        f"{front.busy_s * 1e3:.1f} ms one after another ({front.token_s * 1e6:.1f} ms more "
        f"per 1,000 prompt tokens); written to {path}"
    )

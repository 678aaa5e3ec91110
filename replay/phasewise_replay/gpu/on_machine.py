"""Run a pack on this machine under a budget, and write the results after every block.

`phasewise gpu run` does this. A machine without the store (no DuckDB, no polars) runs
`python -m phasewise_replay.gpu.on_machine PACK RESULTS --budget 480`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from phasewise_store.errors import PhasewiseError, UsageError

from phasewise_replay.engine import Engine
from phasewise_replay.engines import engine_python
from phasewise_replay.engines.vllm import VllmEngine
from phasewise_replay.gpu import machine, model_files, pack_file
from phasewise_replay.gpu.budget import Budget, StoppedError
from phasewise_replay.gpu.execute import Choice, chosen, execute
from phasewise_replay.gpu.pack_file import Pack
from phasewise_replay.gpu.results_file import FileRecording
from phasewise_replay.plans.arms import VllmArm

GRACE_S = 2.0
"""an engine has nothing to save: it is killed if it does not exit at once"""
TINY = Path(".engines/tiny")
"""where `make tiny-model` writes the model that a CPU can run"""
EXIT_CODES = {"finished": 0, "budget": 0, "SIGTERM": 143, "SIGINT": 130}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files, the budget, and what to run."""
    parser.add_argument("pack", type=Path, metavar="PACK", help="file from  phasewise gpu pack")
    parser.add_argument("results", type=Path, metavar="RESULTS", help="file to write")
    parser.add_argument(
        "--budget",
        type=float,
        default=480.0,
        metavar="SECONDS",
        help="stop after so many seconds, the stop included (default: 480)",
    )
    parser.add_argument(
        "--engine",
        choices=("gpu", "cpu"),
        default="gpu",
        help="cpu runs the same pack on vLLM's CPU build, with the tiny model (default: gpu)",
    )
    parser.add_argument(
        "--arms", default="", metavar="A,B", help="only these arms; the baseline always runs"
    )
    parser.add_argument("--stages", default="", metavar="A,B", help="only these stages")
    parser.add_argument(
        "--model", metavar="FOLDER", help="model folder or name, instead of the pack's"
    )
    parser.add_argument("--python", metavar="PATH", help="Python or environment that has vLLM")


def run(arguments: argparse.Namespace) -> int:
    """Run the pack; exit with 0 when it finished or the budget was spent."""
    budget = Budget(arguments.budget)
    pack = pack_file.read(arguments.pack)
    choice = Choice(_names(arguments.arms), _names(arguments.stages))
    stages = chosen(pack, choice, arguments.engine)
    python = engine_python.find("vllm", arguments.python).absolute()
    if arguments.engine == "cpu" and arguments.model is None and not TINY.exists():
        raise UsageError(f"no model in `{TINY}`; write it with  make tiny-model, or use --model")
    recording = FileRecording(arguments.results)
    status, detail = "failed", None
    try:
        with budget.enforced():
            model = _model(pack, arguments)
            power = machine.Power()
            recording.add(
                "machine",
                {
                    "pack": pack.name,
                    "engine": arguments.engine,
                    "budget_s": budget.seconds,
                    "machine": machine.describe(python),
                },
            )

            def engine_for(arm: VllmArm) -> Engine:
                served = replace(arm, model=model or arm.model, python=str(python))
                return VllmEngine(served, grace_s=GRACE_S)

            with power.sampling():
                execute(
                    pack,
                    stages,
                    recording,
                    budget=budget,
                    engine_for=engine_for,
                    joules=power.joules,
                    say=_say,
                )
        status = "finished"
    except StoppedError as stop:
        status = stop.cause
    except BaseException as error:
        detail = str(error)
        raise
    finally:
        recording.add("end", {"status": status, "detail": detail, "seconds": budget.spent_s()})
        recording.close()
    _say(f"{status} after {budget.spent_s():.1f} s of {budget.seconds:.0f}: {arguments.results}")
    return EXIT_CODES[status]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run, and print an error that a person can act on."""
    parser = argparse.ArgumentParser(prog="python -m phasewise_replay.gpu.on_machine")
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except PhasewiseError as error:
        _say(str(error))
        return error.exit_code


def _model(pack: Pack, arguments: argparse.Namespace) -> str | None:
    """Return the model to serve: the one named, the tiny one, the pack's; None is the arm's own."""
    if arguments.model is not None:
        return str(arguments.model)
    if arguments.engine == "cpu":
        return str(TINY.absolute())
    return str(model_files.cached(pack.model_files)) if pack.model_files else None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())

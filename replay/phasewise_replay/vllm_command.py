"""How vLLM is started: the Python that has it, its flags and its environment.

Without a GPU it runs on the CPU, with settings that are fast there.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson
from phasewise_store.errors import MissingExtraError, UsageError

from phasewise_replay.presets import FlagValue
from phasewise_replay.server_process import interpreter_of

PYTHON_VARIABLE = "PHASEWISE_VLLM_PYTHON"
BESIDE = Path(".engines/vllm")
"""where `make engines` installs vLLM for CPU"""

# one thread and float32: a prompt of 3,226 tokens took 1.7 s; two threads and bfloat16, 15 s
CPU_FLAGS: Mapping[str, FlagValue] = {"dtype": "float32", "block-size": 32, "enforce-eager": True}
CPU_ENVIRONMENT: Mapping[str, str] = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}
REPORTING: Mapping[str, FlagValue] = {
    "enable-prompt-tokens-details": True,
    "enable-per-request-metrics": True,
}
"""cached tokens in `usage`; queue, prefill and decode time of each request"""

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
_PROBE = (
    "import importlib.metadata as m\n"
    "print(*{d.metadata['Name'].lower() for d in m.distributions()} & {'vllm', 'vllm-cpu'})"
)


def interpreter(python: str | None) -> Path:
    """Return the Python that has vLLM: from the plan, the variable, this one, or `.engines/vllm`.

    Raises MissingExtraError with install instructions when there is none.
    """
    named = python or os.environ.get(PYTHON_VARIABLE)
    if named is not None:
        path = Path(named).expanduser()
        path = interpreter_of(path) if path.is_dir() else path
        if not path.exists():
            raise UsageError(
                f"no Python at `{named}`; name an interpreter or a virtual environment"
            )
        return path
    if importlib.util.find_spec("vllm") is not None:
        return Path(sys.executable)
    if interpreter_of(BESIDE).exists():
        return interpreter_of(BESIDE)
    raise MissingExtraError(
        "`phasewise replay` with a managed vLLM needs the `vllm` extra.  Install it with  "
        "pip install 'phasewise[vllm]'  (GPU) or  make engines  (CPU), or set "
        f"{PYTHON_VARIABLE} to a Python that has vLLM"
    )


def runs_on_cpu(python: Path) -> bool:
    """Return whether this vLLM is the CPU build, or the machine has no GPU."""
    if not any(Path(device).exists() for device in _GPU_DEVICES):
        return True
    probe = subprocess.run(  # noqa: S603  # the interpreter that is about to serve
        [python, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False
    )
    return probe.stdout.split() == ["vllm-cpu"]


def command(
    python: Path, *, model: str, port: int, flags: Mapping[str, FlagValue], on_cpu: bool
) -> list[str]:
    """Return the command line of the server; the plan's flags win over ours."""
    ours: dict[str, FlagValue] = {"host": "127.0.0.1", "port": port, **REPORTING}
    merged = {"model": model} | ours | (dict(CPU_FLAGS) if on_cpu else {}) | dict(flags)
    # the `vllm` program of the CPU wheel fails: it looks for a distribution named `vllm`
    start = [str(python), "-m", "vllm.entrypoints.openai.api_server"]
    return start + [word for name, value in merged.items() for word in words(name, value)]


def environment(extra: Mapping[str, str], *, on_cpu: bool) -> dict[str, str]:
    """Return the variables to set; the plan's win over ours."""
    ours = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}  # dev mode: cache reset
    return ours | (dict(CPU_ENVIRONMENT) if on_cpu else {}) | dict(extra)


def words(name: str, value: FlagValue) -> list[str]:
    """Write one flag: true is `--name`, false is `--no-name`, a mapping or list is JSON."""
    if value is True:
        return [f"--{name}"]
    if value is False:
        return [f"--no-{name}"]
    if isinstance(value, str | int | float):
        return [f"--{name}", str(value)]
    return [f"--{name}", orjson.dumps(value).decode()]

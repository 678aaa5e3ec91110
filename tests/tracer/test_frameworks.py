"""Real SDKs and frameworks through the tracer: one call is one call, tokens and TTFT right."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from phasewise_collector.loader import Loader
from phasewise_store import reads
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import acceptor
from tests.tracer.chat_server import FIRST_TOKEN_S, chat_server

pytestmark = pytest.mark.frameworks

HERE = Path(__file__).parent / "frameworks"
ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".engines" / "frameworks"

PROGRAMS = [
    # program, environment, agent (None: the program's own name), traces itself or is wrapped twice
    ("openai_sdk", "sdks", None, 1),
    ("anthropic_sdk", "sdks", None, 2),
    ("langgraph_agent", "sdks", None, 2),
    ("openai_agents", "sdks", "planner", 2),
    ("pydantic_ai_agent", "sdks", "planner", 2),
    ("smolagents_model", "sdks", None, 2),
    ("crewai_crew", "crewai", "planner", 1),
    ("llama_index_chat", "llama-index", None, 2),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=[one[0] for one in PROGRAMS])
def test_two_requests_are_two_calls(
    tmp_path: Path, store: Store, program: tuple[str, str, str | None, int]
) -> None:
    """A whole answer and a stream: as many calls as requests, each with all tokens, and TTFT."""
    name, environment, agent, descriptions = program
    python = INSTALLED / environment / "bin" / "python"
    if not python.exists():
        pytest.skip("needs real SDKs; install them with  make frameworks")
    with acceptor(tmp_path / "log") as running, chat_server() as server:
        ended = subprocess.run(
            [str(python), str(HERE / f"{name}.py"), server.base_url],
            env=os.environ
            | {
                "PHASEWISE_ENDPOINT": running.address,
                "PHASEWISE_RING": str(tmp_path / "ring"),
                "PHASEWISE_INCLUDE_USAGE": "true",
                "PYTHONPATH": str(ROOT / "collector"),
                "CREWAI_DISABLE_TELEMETRY": "true",
                "CREWAI_TRACING_ENABLED": "false",
                "HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        Loader(store, running.folder).load()
    calls = reads.llm_calls(store)
    assert calls.height == server.answered == 2
    assert calls["input_tokens"].to_list() == [100, 100]
    assert calls["cache_read_tokens"].to_list() == [64, 64]
    assert calls["output_tokens"].to_list() == [2, 2]
    assert set(calls["usage_origin"]) == {"reported"}
    assert not any(calls["ambiguous"])
    assert set(calls["agent"]) == {agent or name}
    stream = calls.row(1, named=True)
    assert FIRST_TOKEN_S * 0.9e9 < stream["ttft_ns"] <= stream["duration_ns"]
    assert stream["streamed"] is True
    for call in calls.iter_rows(named=True):
        assert len(json.loads(call["described_by"])) >= descriptions
        assert any(part.content for part in reads.prompt(store, call["call_id"]))
    if name == "anthropic_sdk":
        assert calls["cache_write_1h_tokens"].to_list() == [4, 4]

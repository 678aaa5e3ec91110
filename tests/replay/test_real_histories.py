"""Sessions with tools of five sources on one real vLLM: none refused, cached tokens foreseen."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from phasewise_collector.importing import import_paths
from phasewise_collector.loader import Loader
from phasewise_replay import plan_file
from phasewise_replay.run import run
from phasewise_replay.server_process import free_port
from phasewise_store import reads, runs
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import acceptor
from tests.real_server import ROOT, installed, serving
from tests.replay.strict_server import strict_server

TINY = ROOT / ".engines" / "tiny"
VLLM = ROOT / ".engines" / "vllm" / "bin" / "python"
SDKS = ROOT / ".engines" / "frameworks" / "sdks" / "bin" / "python"
CASES = ROOT / "tests" / "cases"
PROGRAM = ROOT / "tests" / "tracer" / "frameworks" / "langgraph_tools.py"

pytestmark = pytest.mark.engine

Fill = Callable[[Store, Path, Path], None]
"""puts sessions into a store, from the shared traces and with a folder to work in"""


@pytest.fixture(scope="module")
def vllm() -> Iterator[str]:
    """Run one vLLM for all sources; give its address."""
    installed(VLLM, TINY)
    port = free_port()
    command: list[str | Path] = [
        *(VLLM, "-m", "vllm.entrypoints.openai.api_server", "--model", TINY),
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"),
        *("--block-size", "32", "--enforce-eager", "--max-model-len", "32768"),
        *("--enable-prompt-tokens-details", "--enable-per-request-metrics"),
    ]
    variables = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "VLLM_SERVER_DEV_MODE": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with serving(command, variables, port=port) as address:
        yield address


def claude_code(store: Store, shared: Path, folder: Path) -> None:
    """Import tools, thinking, an image, a document, a web search, one id twice, a compaction."""
    del shared, folder
    names = ("replay-cc", "cc-dup-tool-id", "cc-web-search", "cc-compact")
    import_paths(store, [CASES / "reports" / name for name in names])


def codex(store: Store, shared: Path, folder: Path) -> None:
    """Import functions, encrypted reasoning, a developer's message, a fork."""
    del shared, folder
    import_paths(store, [CASES / "reports" / "replay-codex", CASES / "first" / "codex-forked"])


def openhands(store: Store, shared: Path, folder: Path) -> None:
    """Import Anthropic's blocks as LiteLLM passes them, with tools, and an evaluation run."""
    del folder
    import_paths(store, [shared / "openhands-sdk" / "llm-logs", shared / "openhands-eval"])


def swe_agent(store: Store, shared: Path, folder: Path) -> None:
    """Import trajectories with function calls, of which some have no answer."""
    del folder
    demonstrations = shared / "swe-agent" / "trajectories" / "demonstrations"
    import_paths(store, sorted(demonstrations.glob("*function_calling*")))


def langgraph(store: Store, shared: Path, folder: Path) -> None:
    """Trace an agent as it runs: two questions, each with two tools in parallel."""
    del shared
    installed(SDKS)
    with acceptor(folder / "log") as running, strict_server() as server:
        ended = subprocess.run(
            [str(SDKS), str(PROGRAM), f"{server.url}/v1"],
            env=os.environ
            | {
                "PHASEWISE_ENDPOINT": running.address,
                "PHASEWISE_RING": str(folder / "ring"),
                "PYTHONPATH": str(ROOT / "collector"),
                "HOME": str(folder),
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        Loader(store, running.folder).load()
    assert reads.llm_calls(store).height == 4


@pytest.mark.parametrize("fill", [claude_code, codex, openhands, swe_agent, langgraph])
def test_a_source_s_sessions_are_sent_and_their_cache_foreseen(
    vllm: str, shared_traces: Path, tmp_path: Path, fill: Fill
) -> None:
    """0 refused calls; cached tokens are those that the cache model said, on every call."""
    plan = f"""
name: histories
sessions: {{limit: 4, max_calls: 4}}
warmup_calls: 0
arms:
  - {{name: vllm, engine: url, url: "{vllm}"}}
"""
    with Store.in_memory() as store:
        fill(store, shared_traces, tmp_path)
        rows = runs.measured(store, run(store, plan_file.parse(plan, "plan")))
    assert rows["error"].drop_nulls().to_list() == []
    assert rows.height >= 4 * 3
    assert rows["cached_tokens"].to_list() == rows["predicted_cached_tokens"].to_list()
    assert rows["output_tokens"].to_list() == rows["planned_output_tokens"].to_list()
    assert int(rows["cached_tokens"].sum()) > 0

"""Sessions with tools of five sources on one real vLLM: none refused, cached tokens foreseen."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from phasewise_collector.importing import import_paths
from phasewise_replay import plan_file
from phasewise_replay.run import run
from phasewise_replay.server_process import free_port
from phasewise_store import runs
from phasewise_store.store import Store

from tests.frameworks.expectations import PYTHON
from tests.frameworks.running import is_installed, suite
from tests.real_server import ROOT, installed, serving

TINY = ROOT / ".engines" / "tiny"
VLLM = ROOT / ".engines" / "vllm" / "bin" / "python"
CASES = ROOT / "tests" / "cases"

pytestmark = pytest.mark.engine

Recording = Callable[[Path, Path], AbstractContextManager[Store]]
"""gives a store with sessions, from the shared traces, with a folder to work in"""


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


def imported(paths: Sequence[Path]) -> Iterator[Store]:
    """Give a store with what some files hold."""
    with Store.in_memory() as store:
        import_paths(store, paths)
        yield store


@contextmanager
def claude_code(shared: Path, folder: Path) -> Iterator[Store]:
    """Import tools, thinking, an image, a document, a web search, one id twice, a compaction."""
    del shared, folder
    names = ("replay-cc", "cc-dup-tool-id", "cc-web-search", "cc-compact")
    yield from imported([CASES / "reports" / name for name in names])


@contextmanager
def codex(shared: Path, folder: Path) -> Iterator[Store]:
    """Import functions, encrypted reasoning, a developer's message, a fork."""
    del shared, folder
    yield from imported([CASES / "reports" / "replay-codex", CASES / "first" / "codex-forked"])


@contextmanager
def openhands(shared: Path, folder: Path) -> Iterator[Store]:
    """Import Anthropic's blocks as LiteLLM passes them, with tools, and an evaluation run."""
    del folder
    yield from imported([shared / "openhands-sdk" / "llm-logs", shared / "openhands-eval"])


@contextmanager
def swe_agent(shared: Path, folder: Path) -> Iterator[Store]:
    """Import trajectories with function calls, of which some have no answer."""
    del folder
    demonstrations = shared / "swe-agent" / "trajectories" / "demonstrations"
    yield from imported(sorted(demonstrations.glob("*function_calling*")))


@contextmanager
def langgraph(shared: Path, folder: Path) -> Iterator[Store]:
    """Trace agents as they run, on OpenAI's and Anthropic's APIs: tools, sub-agents, failures."""
    del shared
    programs = [program for program in PYTHON if program.file == "langchain_agent.py"]
    if not all(is_installed(program, "extra") for program in programs):
        pytest.skip("needs real SDKs; install them with  make agent-sdks")
    with suite(folder) as live:
        ended = live.run([(program, "extra") for program in programs])
        assert [run.exit_code for run in ended] == [0] * len(programs), ended[0].said
        live.settle()
        yield live.store


@pytest.mark.parametrize("recording", [claude_code, codex, openhands, swe_agent, langgraph])
def test_a_source_s_sessions_are_sent_and_their_cache_foreseen(
    vllm: str, shared_traces: Path, tmp_path: Path, recording: Recording
) -> None:
    """0 refused calls; cached tokens are those that the cache model said, on every call."""
    plan = f"""
name: histories
sessions: {{limit: 8, max_calls: 3}}
warmup_calls: 0
arms:
  - {{name: vllm, engine: url, url: "{vllm}"}}
"""
    with recording(shared_traces, tmp_path) as store:
        rows = runs.measured(store, run(store, plan_file.parse(plan, "plan")))
    assert rows["error"].drop_nulls().to_list() == []
    assert rows.height >= 4 * 3
    assert rows["cached_tokens"].to_list() == rows["predicted_cached_tokens"].to_list()
    assert rows["output_tokens"].to_list() == rows["planned_output_tokens"].to_list()
    # no prompt of the small Codex files fills a block of the cache
    assert bool(rows["cached_tokens"].sum()) is (recording is not codex)

"""What one real vLLM is enough for, since each start takes 15 s of CPU: traces and replays.

The example agent's spans and the engine's own are one trace, soon. Sessions with tools of five
sources are replayed: none is refused, and cached tokens are foreseen.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import orjson
import pytest
from phasewise_collector.importing import import_paths
from phasewise_replay.engine import Request, started
from phasewise_replay.engines import vllm_command
from phasewise_replay.engines.server_process import free_port
from phasewise_replay.engines.url import UrlEngine
from phasewise_replay.plans.arms import UrlArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.runs.forced_tokens import CURE
from phasewise_replay.runs.run import run
from phasewise_replay.sessions import sessions
from phasewise_replay.verdicts.compare import compare
from phasewise_store.store import Store

from tests.cli.test_up import Up, until, up
from tests.frameworks.expectations import PYTHON
from tests.frameworks.running import is_installed, suite
from tests.real_server import ROOT, TINY, VLLM, installed, serving
from tests.replay.generate_server import NO_REPLAY
from tests.replay.predicted import replayed
from tests.replay.recorded import write_answered_sessions

CASES = ROOT / "tests" / "cases"

pytestmark = pytest.mark.engine

Recording = Callable[[Path, Path], AbstractContextManager[Store]]
"""gives a store with sessions, from the shared traces, with a folder to work in"""


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run `phasewise up`."""
    with up(tmp_path_factory.mktemp("up") / "p.duckdb") as running:
        yield running


@pytest.fixture(scope="module")
def vllm(collecting: Up) -> Iterator[str]:
    """Run a vLLM that sends its own spans there; give its address."""
    installed(VLLM, TINY)
    port = free_port()
    command = vllm_command.command(
        VLLM,
        model=str(TINY),
        port=port,
        flags={
            "max-model-len": 32768,
            "otlp-traces-endpoint": f"{collecting.otlp}/v1/traces",
            "enable-scale-out": True,
        },
        on_cpu=True,
    )
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "HF_HUB_OFFLINE": "1",
    }
    environment = vllm_command.environment(variables, on_cpu=True)
    with serving(command, environment, port=port) as address:
        yield address


def test_the_agent_s_calls_show_the_engine_s_own_phases(collecting: Up, vllm: str) -> None:
    """Three calls and three tool runs; each call with vLLM's prefill and decode, one trace."""
    environment = os.environ | {"PHASEWISE_ENDPOINT": collecting.otlp}
    example = ROOT / "examples" / "tool_agent.py"
    subprocess.run(
        [sys.executable, example, "--base-url", f"{vllm}/v1", "--session", "shopping"],
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
    with recording(shared_traces, tmp_path) as store:
        recorded = sessions.load(store, SessionChoice(limit=8, max_calls=3)).sessions
    pairs = replayed(UrlEngine(UrlArm("vllm", vllm)), recorded)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert len(pairs) >= 3
    assert any(cached for _, cached in pairs)  # some calls are sent again at the end


def test_token_ids_go_in_and_come_out(vllm: str) -> None:
    """As with forced tokens, but without the field: a prompt, a length, ids and usage streamed.

    The answer's ids are what the next prompt has behind this one.
    """
    call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": '{"a": 1}'}}
    asked, answer, again = (
        orjson.dumps(message)
        for message in (
            {"role": "user", "content": "read it"},
            {"role": "assistant", "content": "I read.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "x"},
        )
    )
    engine = UrlEngine(UrlArm("vllm", vllm))
    with started(engine):
        chat = Request("r", "s", "c", 0, output_tokens=20, messages=(asked,))
        prompt = engine.token_ids(chat)
        assert prompt is not None
        answered = engine.token_forcing().answer_ids(chat, prompt, (answer,))
        following = engine.token_ids(replace(chat, messages=(asked, answer, again)))
        assert answered is not None
        assert following is not None
        both = [*prompt.tolist(), *answered.tolist()]
        assert following[: len(both)].tolist() == both
        in_ids = replace(chat, endpoint="generate", messages=(), prompt_token_ids=following)
        free = engine.send(in_ids)
        forced = engine.send(replace(in_ids, forced_ids=answered, output_tokens=len(answered)))
    assert free.error is None
    assert free.prompt_token_ids is not None
    assert free.output_token_ids is not None
    assert free.prompt_token_ids.tolist() == following.tolist()
    assert (free.input_tokens, free.output_tokens) == (len(following), 20)
    assert len(free.output_token_ids) == 20
    assert free.cached_tokens is not None
    assert free.ttft_ns is not None
    assert (free.response_id or "").startswith("generate-tokens-")
    assert forced.error == NO_REPLAY


def test_a_vllm_without_trace_replay_is_unsupported_in_its_own_words(
    store: Store, vllm: str
) -> None:
    """A plan that forces tokens, with the cure."""
    write_answered_sessions(store)
    plan = Plan("n", (UrlArm("a", vllm),), forced="tokens")
    (arm,) = compare(store, run(store, plan)).arms
    assert arm.status == "unsupported"
    assert arm.reason == f"tokens cannot be forced: {NO_REPLAY}; {CURE}"

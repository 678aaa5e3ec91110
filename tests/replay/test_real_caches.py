"""What vLLM and SGLang take from their caches, foretold token for token, call by call.

Recorded agent sessions, each text cut short, on real servers on this CPU; without the shared
traces, conversations made up here. Each engine has a cache that keeps everything and one that
evicts at nearly every call.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl
import pytest
from phasewise_analyzer.engine.deployments import calibration
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_collector.importing import import_paths
from phasewise_replay.engine import Engine
from phasewise_replay.engines.server_process import free_port
from phasewise_replay.engines.url import UrlEngine
from phasewise_replay.engines.vllm import VllmEngine
from phasewise_replay.plans.arms import UrlArm, VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.presets import FlagValue
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.runs.run import run
from phasewise_replay.sessions import sessions
from phasewise_replay.sessions.recorded import RecordedSession, RecordedStep
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Check
from phasewise_store import runs
from phasewise_store.facts import Segment
from phasewise_store.segments import text_segment
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.conftest import SHARED
from tests.real_server import (
    NO_WORKER_FLAG,
    NO_WORKER_VALUE,
    NO_WORKER_VARIABLES,
    SGLANG,
    TINY,
    VLLM,
    installed,
    serving,
)
from tests.replay.predicted import replayed
from tests.replay.recorded import write_sessions

RECORDED = SHARED / "tau-bench" / "gpt-4o-airline.tasks00-24.json.gz"

MOST_LETTERS = 140
"""of a recorded text: a prompt of a long session is then some 600 tokens"""
MOST_TOKENS = 1024
"""of prompt and output"""
LEAST_CALLS = 250
"""of those that fit; how many do depends on the tokenizer of the model that was made here"""

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def conversations() -> list[RecordedSession]:
    """Give sessions whose prompts are short."""
    found = _recorded() if RECORDED.exists() else _made_up()
    return [replace(one, steps=tuple(map(_short, one.steps))) for one in found]


def _recorded() -> Sequence[RecordedSession]:
    with Store.in_memory() as store:
        import_paths(store, [RECORDED])
        choice = SessionChoice(source="tau-bench", limit=32, max_calls=12)
        return sessions.load(store, choice).sessions


def _made_up() -> list[RecordedSession]:
    rules = text_segment("system", _message("system", "rule number one of many " * 30), "system")
    made = []
    for session in range(30):
        history = [rules]
        steps = []
        for step in range(12):
            said = f"session {session // 2 if step < 4 else session} asks {step} " * (2 + step % 5)
            history.append(text_segment("message", _message("user", said), "user"))
            name = f"s{session}.{step}"
            steps.append(RecordedStep(name, step, tuple(history), output_tokens=1, wait_ns=0))
            answer = _message("assistant", f"answer {step} " * 5)
            history.append(text_segment("message", answer, "assistant"))
        made.append(RecordedSession(f"s{session}", tuple(steps)))
    return made


def _message(role: str, content: str) -> str:
    return orjson.dumps({"role": role, "content": content}).decode()


def _short(step: RecordedStep) -> RecordedStep:
    """Cut the texts of a call, and have it answered in one to six tokens."""
    prompt = tuple(_cut(segment) for segment in step.prompt if segment.kind != "tool")
    prompt += tuple(segment for segment in step.prompt if segment.kind == "tool")[:2]
    return replace(step, prompt=prompt, output_tokens=1 + len(step.prompt) % 6)


def _cut(segment: Segment) -> Segment:
    assert segment.content is not None
    message = orjson.loads(segment.content)
    if isinstance(message.get("content"), str):
        message["content"] = message["content"][:MOST_LETTERS]
    return text_segment("message", orjson.dumps(message).decode(), segment.role)


@contextmanager
def vllm(tokens: int) -> Iterator[Engine]:
    """Give a vLLM whose cache holds so many tokens, in blocks of 32."""
    flags: dict[str, FlagValue] = {
        "max-model-len": MOST_TOKENS,
        "num-gpu-blocks-override": tokens // 32,
        NO_WORKER_FLAG: NO_WORKER_VALUE,
    }
    arm = VllmArm("vllm", str(TINY), flags=flags, env=NO_WORKER_VARIABLES, python=str(VLLM))
    yield VllmEngine(arm)


@contextmanager
def sglang(tokens: int, page: int) -> Iterator[UrlArm]:
    """Run an SGLang whose cache holds so many tokens, in pages of so many."""
    port = free_port()
    command = [
        *(str(SGLANG), "-m", "sglang.launch_server", "--model-path", str(TINY), "--device", "cpu"),
        *("--attention-backend", "torch_native", "--sampling-backend", "pytorch"),
        *("--disable-cuda-graph", "--dtype", "float32", "--mem-fraction-static", "0.3"),
        *("--max-total-tokens", str(tokens), "--page-size", str(page), "--sleep-on-idle"),
        *("--max-running-requests", "4", "--context-length", str(MOST_TOKENS)),
        *("--chunked-prefill-size", "512", "--enable-cache-report", "--skip-server-warmup"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = {"SGLANG_USE_CPU_ENGINE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with serving(command, environment, port=port) as address:
        yield UrlArm("sglang", address)


def check(large: list[tuple[int, int]], small: list[tuple[int, int]]) -> None:
    """Hold every call of both caches to what was foretold; the small one must have evicted."""
    for pairs in (large, small):
        assert len(pairs) >= LEAST_CALLS
        assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert 0 < sum(cached for _, cached in small) < sum(cached for _, cached in large)


def test_vllm_s_cached_tokens_are_foretold(conversations: list[RecordedSession]) -> None:
    """Every call, in a cache of 64 Ki tokens and in one of 1,280."""
    installed(VLLM, TINY)
    with vllm(65_536) as engine:
        large = replayed(engine, conversations)
    with vllm(1_280) as engine:
        small = replayed(engine, conversations)
    check(large, small)


def test_sglang_s_cached_tokens_are_foretold(
    conversations: list[RecordedSession], tmp_path: Path
) -> None:
    """Every call, in a cache of 64 Ki tokens in pages of 16 and in one of 1,280 single tokens.

    A run resets the cache of a server it did not start: each of its blocks begins cold. The server
    is calibrated, too: one start is enough for both.
    """
    installed(SGLANG, TINY)
    with sglang(65_536, page=16) as arm:
        large = replayed(UrlEngine(arm), conversations)
        calls, checks = replayed_by_a_run(arm)
        check_messages(arm)
        check_calibration(arm.url, tmp_path / "sglang.json")
    with sglang(1_280, page=1) as arm:
        small = replayed(UrlEngine(arm), conversations)
    check(large, small)
    assert calls["error"].null_count() == calls.height == 12  # half do not fit the context
    assert int(calls["cached_tokens"].sum()) > 0
    assert checks["cold_canary"].passed
    assert checks["predicted_cache"].passed
    assert checks["predicted_cache"].value == 1.0


def check_calibration(url: str, path: Path) -> None:
    """Calibrate a server: two kinds of steps that take time, and the limits of its scheduler."""
    words = ["calibrate", url, "--out", str(path), "--seconds", "15", "--sequences", "4"]
    assert main(words) == 0
    found = calibration.read(path)
    assert set(found.times.fits) == {"prefill", "decode"}
    assert found.times.step_s(Batch((Chunk(256, 0),))) > 0
    assert found.times.fits["decode"].coefficients[0] > 0
    assert (found.blocks, found.server.settings["device"]) == (65_536 // 16, "cpu")
    wanted = SglangConfig(
        chunked_prefill_size=512, max_running_requests=4, page_size=16, on_cpu=True
    )
    assert found.config == wanted


def check_messages(arm: UrlArm) -> None:
    """Replay chats on a server's messages, whose usage leaves out cached tokens that are 0."""
    with Store.in_memory() as store:
        write_sessions(store, sessions=1, steps=2)
        plan = Plan("shown", (arm,), warmup_calls=0, mode="quality", endpoint="messages")
        verdict = compare(store, run(store, plan))
        measured = runs.measured(store, verdict.run_id)
    assert verdict.arms[0].endpoints == {"messages": 1}
    assert measured["error"].null_count() == measured.height == 8
    first, second = (measured.filter(pl.col("step") == step) for step in (0, 1))
    assert first["cached_tokens"].to_list() == [0] * 4
    assert (second["cached_tokens"] > 0).all()
    assert (second["input_tokens"] > first["input_tokens"]).all()
    assert measured["output"].null_count() == 0


def replayed_by_a_run(arm: UrlArm) -> tuple[pl.DataFrame, dict[str, Check]]:
    """Replay a few chats as a plan does; give its calls and what its verdict checks."""
    with Store.in_memory() as store:
        write_sessions(store, sessions=2, steps=3)
        run_id = run(store, Plan("shown", (arm,), warmup_calls=2))
        checks = compare(store, run_id).fidelity.checks
        return runs.measured(store, run_id), {check.name: check for check in checks}

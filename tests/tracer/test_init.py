"""The one line in real programs: the real OpenAI SDK, a real acceptor, a real database."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import polars as pl
import pytest
from phasewise_collector.loader import Loader
from phasewise_store import reads
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import acceptor
from tests.tracer.chat_server import FIRST_TOKEN_S, chat_server

pytest.importorskip("openai")

ASK = """
from openai import OpenAI
client = OpenAI(base_url=BASE, api_key="none")
said = [{"role": "user", "content": "hello"}]
kind = dict(model="stand-in", messages=said)
client.chat.completions.create(**kind)
stream = client.chat.completions.create(
    **kind, stream=True, stream_options={"include_usage": True}
)
for chunk in stream:
    pass
"""
INIT = "import phasewise; phasewise.init()\n"


def traced(
    tmp_path: Path,
    program: str,
    *launcher: str,
    store: Store | None = None,
    **environment: str,
) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    """Run a program beside a collector; give its calls and the headers its requests had."""
    with (
        acceptor(tmp_path / "log") as running,
        chat_server() as server,
        nullcontext(store) if store is not None else Store.in_memory() as opened,
    ):
        tmp_path.mkdir(exist_ok=True)
        file = tmp_path / "program.py"
        file.write_text(f"BASE = {server.base_url!r}\n{program}")
        ended = subprocess.run(
            [*(launcher or [sys.executable]), str(file)],
            env=os.environ
            | {"PHASEWISE_ENDPOINT": running.address, "PHASEWISE_RING": str(tmp_path / "ring")}
            | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        Loader(opened, running.folder).load()
        return reads.llm_calls(opened), server.headers_seen


def test_one_line_sees_both_calls_with_tokens_and_first_token(tmp_path: Path) -> None:
    """A whole answer and a stream: two calls, each once, cached tokens and TTFT right."""
    calls, _ = traced(tmp_path, INIT + ASK)
    assert calls["input_tokens"].to_list() == [100, 100]
    assert calls["cache_read_tokens"].to_list() == [64, 64]
    assert calls["output_tokens"].to_list() == [2, 2]
    whole, stream = calls["ttft_ns"].to_list()
    assert whole is None
    assert FIRST_TOKEN_S * 0.9e9 < stream <= calls["duration_ns"].to_list()[1]
    assert calls["agent"].to_list() == ["program", "program"]


def test_the_engine_gets_the_context_of_the_program_s_own_span(tmp_path: Path) -> None:
    """Inside an agent each request carries `traceparent` of the trace that its call is in."""
    indented = "".join(f"    {line}" for line in ASK.splitlines(keepends=True))
    calls, headers = traced(tmp_path, f"{INIT}\nwith phasewise.agent('lead'):\n{indented}")
    sent = [one["traceparent"].split("-")[1] for one in headers]
    assert sent == calls["trace_id"].to_list()
    assert calls["agent"].to_list() == ["lead", "lead"]


def test_a_request_is_not_changed(tmp_path: Path) -> None:
    """Where no span of the program is open, nothing is added to what the SDK sends."""
    _, traced_headers = traced(tmp_path / "a", INIT + ASK)
    _, plain_headers = traced(tmp_path / "b", INIT + ASK, PHASEWISE_DISABLED="true")
    assert [sorted(one) for one in traced_headers] == [sorted(one) for one in plain_headers]


def test_run_traces_a_program_without_a_line(tmp_path: Path) -> None:
    """`phasewise run -- python program.py` sees what init() would."""
    launcher = (sys.executable, "-m", "phasewise_web.cli.main", "run", "--", sys.executable)
    calls, _ = traced(tmp_path, ASK, *launcher)
    assert calls["input_tokens"].to_list() == [100, 100]


def test_sessions_agents_and_tools_can_be_named(tmp_path: Path) -> None:
    """Calls of two traces in one session, inside agents that nest."""
    program = f"""{INIT}
def ask():
{"".join(f"    {line}" for line in ASK.splitlines(keepends=True))}
with phasewise.session("shop-1"):
    with phasewise.agent("lead"):
        with phasewise.tool("look"):
            pass
        with phasewise.agent("scout"):
            ask()
    with phasewise.agent("lead"):
        ask()
"""
    calls, _ = traced(tmp_path, program)
    assert calls["session_id"].unique().to_list() == ["shop-1"]
    assert calls["agent"].to_list() == ["scout", "scout", "lead", "lead"]
    assert calls["parent_agent_id"].to_list() == ["shop-1/lead", "shop-1/lead", None, None]
    assert calls["step"].to_list() == [0, 1, 2, 3]


def test_an_existing_provider_is_added_to(tmp_path: Path) -> None:
    """The program's own provider stays, its exporter and ours both get the span."""
    program = f"""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
mine, kept = TracerProvider(), InMemorySpanExporter()
mine.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(mine)
{INIT}
{ASK}
phasewise.flush()
assert trace.get_tracer_provider() is mine
assert len(kept.get_finished_spans()) == 2
phasewise.init()
assert len(mine._active_span_processor._span_processors) == 3
"""
    calls, _ = traced(tmp_path, program)
    assert calls.height == 2


def test_nothing_is_sent_when_disabled(tmp_path: Path) -> None:
    """PHASEWISE_DISABLED=true leaves the program alone."""
    calls, headers = traced(tmp_path, INIT + ASK, PHASEWISE_DISABLED="true")
    assert not calls.height
    assert "traceparent" not in headers[0]


def test_a_long_conversation_keeps_its_system_prompt(tmp_path: Path) -> None:
    """121 messages make far more than 128 attributes; the first one arrives."""
    program = ASK.replace(
        'said = [{"role": "user", "content": "hello"}]',
        'said = [{"role": "system", "content": "be kind"}] + '
        '[{"role": "user", "content": f"message {n}"} for n in range(120)]',
    )
    with acceptor(tmp_path / "log") as running, chat_server() as server, Store.in_memory() as store:
        file = tmp_path / "program.py"
        file.write_text(f"BASE = {server.base_url!r}\n{INIT}{program}")
        subprocess.run(
            [sys.executable, str(file)],
            env=os.environ
            | {"PHASEWISE_ENDPOINT": running.address, "PHASEWISE_RING": str(tmp_path / "ring")},
            check=True,
            capture_output=True,
        )
        Loader(store, running.folder).load()
        call_id = reads.llm_calls(store)["call_id"][0]
        prompt = reads.prompt(store, call_id)
    assert len(prompt) == 121
    assert prompt[0].content == b'{"role":"system","content":"be kind"}'


def test_a_program_runs_on_when_the_collector_is_away(tmp_path: Path) -> None:
    """An address where nobody listens: exit code 0, and the program's own output is untouched."""
    file = tmp_path / "program.py"
    with chat_server() as server:
        file.write_text(f"BASE = {server.base_url!r}\n{INIT}{ASK}print('done')")
        ended = subprocess.run(
            [sys.executable, str(file)],
            env=os.environ
            | {
                "PHASEWISE_ENDPOINT": "http://127.0.0.1:9",
                "PHASEWISE_RING": str(tmp_path / "ring"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (0, "done\n")

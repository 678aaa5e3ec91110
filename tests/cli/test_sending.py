"""What was imported can be sent: a strict server refuses nothing; what it refuses is said."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from phasewise_replay.engine import Answer, Request
from phasewise_replay.engines.fake import FakeEngine, usual_answer
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_store.errors import EngineError
from phasewise_store.store import Store
from phasewise_web.cli.compare import exit_code
from phasewise_web.cli.main import main

from tests.replay.recorded import write_sessions
from tests.replay.strict_server import Strict, strict_server
from tests.replay.test_run import plan_of, served_by

CASES = Path(__file__).resolve().parents[1] / "cases"
WITH_TOOLS = (
    "reports/replay-cc",
    "reports/replay-codex",
    "reports/cc-dup-tool-id",
    "reports/cc-web-search",
    "reports/cc-advisor",
    "reports/cc-compact",
    "reports/cc-nul-surrogate",
    "reports/codex-usage-both",
    "first/claude-code-subagents",
    "first/codex-forked",
)


BUSY = "send_lag_ms: 10000\n"
"""answers take no time here: on a busy machine, a call sent late would be void"""


@pytest.fixture
def strict() -> Iterator[Strict]:
    """Give a server that refuses what vLLM refuses."""
    with strict_server() as server:
        yield server


def plan(tmp_path: Path, url: str, *, source: str | None = None, more: str = "") -> str:
    """Write a plan with one server under two names."""
    chosen = "{}" if source is None else f"{{source: {source}}}"
    arms = "".join(f"  - {{name: {name}, engine: url, url: '{url}'}}\n" for name in "ab")
    path = tmp_path / "plan.yaml"
    path.write_text(f"name: p\nsessions: {chosen}\nwarmup_calls: 0\n{BUSY}{more}arms:\n{arms}")
    return str(path)


@pytest.mark.parametrize("case", WITH_TOOLS)
def test_sessions_with_tools_images_and_reasoning_are_sent(
    tmp_path: Path, strict: Strict, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every call is answered, in every block of both arms; the exit code says so."""
    database = str(tmp_path / "p.duckdb")
    main(["import", str(CASES / case), "--db", database])
    capsys.readouterr()
    code = main(["replay", plan(tmp_path, strict.url), "--json", "--db", database])
    verdict = json.loads(capsys.readouterr().out)
    assert strict.refused == []
    assert verdict["failures"]["calls"] == 0
    assert verdict["calls"] > 0
    assert code == 0, [check for check in verdict["fidelity"]["checks"] if not check["passed"]]


def test_calls_that_fail_are_counted_and_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, how many of how many, and the server's words once, whatever numbers are in them."""
    database = tmp_path / "p.duckdb"
    with Store.open(database) as store:
        write_sessions(store, sessions=2, steps=3)
    with strict_server(refuse_behind=5) as server:
        code = main(["replay", plan(tmp_path, server.url), "--db", str(database)])
    out = capsys.readouterr().out
    assert code == 1
    assert "3 of 6 calls failed:\n  HTTP 400: request 5 is one too many\n" in out


def test_a_plan_without_a_prompt_to_send_is_misuse(
    tmp_path: Path, strict: Strict, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage and times alone cannot be sent."""
    database = str(tmp_path / "p.duckdb")
    csv = tmp_path / "a.csv"
    csv.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n")
    main(["import", str(csv), "--db", database])
    code = main(["replay", plan(tmp_path, strict.url), "--db", database])
    assert code == 2
    assert "nothing to replay: the 1 calls in 1 sessions" in capsys.readouterr().err


def test_thinking_is_sent_where_the_plan_keeps_it(
    tmp_path: Path, strict: Strict, capsys: pytest.CaptureFixture[str]
) -> None:
    """`thinking: text` puts the reasoning before the answer's words; `drop` is usual."""
    database = str(tmp_path / "p.duckdb")
    main(["import", str(CASES / "reports/replay-cc"), "--db", database])
    main(["replay", plan(tmp_path, strict.url, more="thinking: text\n"), "--db", database])
    answers = [
        message["content"]
        for body in strict.bodies
        for message in body["messages"]
        if message["role"] == "assistant"
    ]
    assert set(answers) == {"hm\nok"}
    capsys.readouterr()
    assert main(["replay", plan(tmp_path, strict.url, more="thinking: x\n"), "--db", database]) == 2
    assert "must be drop or text, not `x`" in capsys.readouterr().err


def test_show_says_what_a_replay_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last call of a Claude Code session: thinking, an image, an empty answer."""
    database = str(tmp_path / "p.duckdb")
    main(["import", str(CASES / "reports/replay-cc"), "--db", database])
    capsys.readouterr()
    main(["calls", "--json", "--db", database])
    calls = json.loads(capsys.readouterr().out)
    last = max(calls, key=lambda call: call["started_ns"])["call_id"]
    main(["show", last, "--json", "--db", database])
    step = json.loads(capsys.readouterr().out)["step"]
    assert step["changes"] == [
        "thinking dropped: 1 block",
        "1 image replaced by 800 tokens of text",
        "1 empty message left out",
        "3 messages rewritten for a chat endpoint",
    ]
    main(["show", last, "--db", database])
    printed = capsys.readouterr().out
    assert "a replay on an engine changes: thinking dropped: 1 block; 1 image" in printed


def test_a_run_in_which_an_arm_died_exits_1(store: Store) -> None:
    """The other arm was measured, and its calls are kept."""
    write_sessions(store)

    def dies(request: Request) -> Answer:
        if request.call_id == "s2.0":
            raise EngineError("vLLM exited: out of memory")
        return usual_answer(request)

    engines = {"a": FakeEngine(), "b": FakeEngine(answer=dies)}
    verdict = compare(store, run(store, plan_of("a", "b"), engine_for=served_by(engines)))
    assert [arm.status for arm in verdict.arms] == ["ok", "failed"]
    assert exit_code(verdict) == 1

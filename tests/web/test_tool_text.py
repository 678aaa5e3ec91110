"""What tools were called with and gave back, on the session's page and in `phasewise show`."""

import json
from pathlib import Path

import pytest
from phasewise_analyzer.analyse import analyse
from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, ToolCall, Usage
from phasewise_store.store import Store
from phasewise_web.cli.main import main
from phasewise_web.pages.session import TOOL_CHARACTERS

from tests.web.client import client as pages_of
from tests.web.conftest import HOSTILE

RESULT = f"{HOSTILE} " + "x" * (TOOL_CHARACTERS + 1)


def batch() -> Batch:
    """Make a session of one call and one tool that failed, with a long result."""
    call = LlmCall("c0", "s", "s/a", 0, Usage(uncached_tokens=10, output_tokens=3))
    tool = ToolCall(
        "t0",
        "s",
        "s/a",
        "weather",
        after_step=0,
        error="no rain",
        arguments='{"city": "Ulm"}',
        result=RESULT,
    )
    return Batch(
        Source("f", "f", "otlp", "f"),
        sessions=(Session("s"),),
        agents=(Agent("s/a", "s", "a"),),
        llm_calls=(call,),
        tool_calls=(tool,),
    )


def test_the_session_s_page_shows_the_beginning_and_its_twin_the_whole(store: Store) -> None:
    """Text that wants to be markup is text; what is too long for a page says where it is whole."""
    store.write(batch())
    analyse(store)
    client = pages_of(store)
    page = client.get("/sessions/s").text
    assert "{&#34;city&#34;: &#34;Ulm&#34;}</pre>" in page
    assert "<script" not in page
    assert RESULT[-TOOL_CHARACTERS:] not in page
    assert 'href="/sessions/s.json"' in page
    steps = client.get("/sessions/s.json").json()["timeline"]["steps"]
    assert [(one["arguments"], one["result"]) for one in steps if one["kind"] == "tool"] == [
        ('{"city": "Ulm"}', RESULT)
    ]


def test_show_prints_the_beginning_and_json_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a tool, with its error; the whole text in JSON."""
    path = tmp_path / "p.duckdb"
    with Store.open(path) as store:
        store.write(batch())
    assert main(["show", "s", "--db", str(path)]) == 0
    printed = capsys.readouterr().out
    assert '-> weather {"city": "Ulm"} => <script>' in printed
    assert "… error: no rain" in printed
    assert RESULT not in printed
    assert main(["show", "s", "--json", "--db", str(path)]) == 0
    (tool,) = (one for one in json.loads(capsys.readouterr().out)["steps"] if one["kind"] == "tool")
    assert (tool["arguments"], tool["result"], tool["error"]) == (
        '{"city": "Ulm"}',
        RESULT,
        "no rain",
    )

"""The commands that print the cost split, over the sample traces."""

import json
from pathlib import Path

import pytest
from phasewise_collector import samples
from phasewise_web.cli.main import main


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give a database with two of the sample data sets."""
    path = str(tmp_path_factory.mktemp("db") / "x.duckdb")
    with samples.folder() as folder:
        wanted = [str(folder / name) for name in ("tau2-bench", "lmcache-agent-trace")]
        assert main(["import", *wanted, "--db", path]) == 0
    return path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must succeed and give what it printed on stdout."""
    capsys.readouterr()
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_import_prints_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, sessions, LLM calls and each skipped record with file, line and reason."""
    good = '{"timestamp":0,"input_length":3,"output_length":1,"hash_ids":[1]}'
    (tmp_path / "t.jsonl").write_text(f"{good}\nbroken\n")
    out = said(
        capsys, "import", str(tmp_path / "t.jsonl"), "--json", "--db", str(tmp_path / "d.duckdb")
    )
    found = json.loads(out)
    assert (found["files"], found["sessions"], found["llm_calls"]) == (1, 1, 1)
    assert [(one["line"], one["file"]) for one in found["skipped"]] == [
        (2, str(tmp_path / "t.jsonl"))
    ]
    assert found["skipped"][0]["reason"]


def test_import_of_a_foreign_file_exits_2_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is one sentence that lists the formats."""
    (tmp_path / "x.bin").write_bytes(b"\x00\x01")
    database = str(tmp_path / "d.duckdb")
    assert main(["import", str(tmp_path / "x.bin"), "--db", database]) == 2
    assert "mooncake" in capsys.readouterr().err
    assert json.loads(said(capsys, "agents", "--json", "--db", database)) == []


def test_agents_json_has_the_contract_s_keys(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object a role, numbers as numbers, unknown money as null."""
    rows = {
        row["agent"]: row for row in json.loads(said(capsys, "agents", "--json", "--db", database))
    }
    airline = rows["airline-agent"]
    keys = {"sessions", "calls", "input_tokens", "cache_read_tokens", "output_tokens"}
    assert keys | {"prefill_usd", "decode_usd", "other_usd", "total_usd"} <= airline.keys()
    assert airline["total_usd"] == pytest.approx(
        airline["prefill_usd"] + airline["decode_usd"] + airline["other_usd"]
    )
    assert rows["miniswe"]["total_usd"] is None


def test_prefixes_json_has_the_contract_s_keys(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both yardsticks in three definitions, the asked capacities, and groups with --by."""
    out = said(
        capsys,
        *("prefixes", "--json", "--source", "lmcache-agent-trace", "--by", "agent"),
        *("--capacity-blocks", "10,1000", "--db", database),
    )
    found = json.loads(out)
    sums = {"calls", "input_tokens", "output_tokens", "block_tokens"}
    assert {*sums, "reuse", "lru", "ttl", "groups"} == found.keys()
    definitions = {"token_weighted", "block_weighted", "mean_of_calls"}
    assert found["reuse"].keys() == {"any_earlier", "previous_call"}
    assert all(rate.keys() == definitions for rate in found["reuse"].values())
    assert [row["capacity_blocks"] for row in found["lru"]] == [10, 1000]
    assert {group["key"] for group in found["groups"]} == {"magagent", "miniswe"}


def test_sessions_calls_and_show_go_from_the_top_down(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A session of the list can be shown, and a call of that session too, with its prompt."""
    sessions = json.loads(
        said(capsys, "sessions", "--json", "--source", "tau2-bench", "--db", database)
    )
    session = json.loads(
        said(capsys, "show", sessions[0]["session_id"], "--json", "--db", database)
    )
    calls = [step for step in session["steps"] if step["kind"] == "llm"]
    assert len(calls) == sessions[0]["calls"]
    call = json.loads(said(capsys, "show", calls[0]["id"], "--json", "--db", database))
    assert call["prompt"][0]["role"] == "system"
    listed = said(capsys, "calls", "--session", sessions[0]["session_id"], "--db", database)
    assert calls[0]["id"] in listed
    for words in (["agents"], ["sessions"], ["show", calls[0]["id"]], ["prefixes"]):
        assert said(capsys, *words, "--db", database)


def test_sql_reads_and_cannot_write_or_leave(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A SELECT prints rows; an INSERT and a read of another file are refused with exit 2."""
    out = said(capsys, "sql", "SELECT count(*) AS n FROM llm_calls", "--json", "--db", database)
    assert json.loads(out)[0]["n"] > 1000
    assert main(["sql", "DELETE FROM llm_calls", "--db", database]) == 2
    assert main(["sql", "SELECT * FROM read_text('README.md')", "--db", database]) == 2


def test_an_unknown_id_exits_2_with_the_cure(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`show` of a name that is not there says how to list them."""
    assert main(["show", "nobody", "--db", database]) == 2
    assert "phasewise sessions" in capsys.readouterr().err

"""What a person gets who names the wrong file, folder, port or filter: a sentence and a code."""

import sqlite3
from pathlib import Path

import pytest
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.replay.test_run import SIMULATED


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """Run a command that must end with this code; give what it said on stderr."""
    capsys.readouterr()
    assert main(list(words)) == code
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def empty_database(folder: Path) -> str:
    """Make a database without calls; give its path."""
    path = folder / "x.duckdb"
    Store.own(path).close()
    return str(path)


def test_a_database_of_another_program_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite's file is no DuckDB file, and the way out is said; nothing of extensions is."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    text = refused(capsys, 1, "agents", "--db", str(path))
    assert "other.db` cannot be opened as a DuckDB file; choose another file with --db" in text
    assert "extension" not in text
    assert "no known format" in refused(
        capsys, 2, "import", str(path), "--db", str(tmp_path / "x.duckdb")
    )


def test_a_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Not even the super-user makes a file in /proc."""
    text = refused(capsys, 1, "import", "x.jsonl", "--db", "/proc/x.duckdb")
    assert "`/proc/x.duckdb`: its folder cannot be written" in text
    assert "--db" in text


def test_a_port_beyond_all_ports_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option and the range are said."""
    text = refused(capsys, 2, "web", "--port", "99999", "--db", empty_database(tmp_path))
    assert "--port 99999: a port must be between 0 and 65535" in text


READING = (
    *(("agents",), ("sessions",), ("calls",), ("show", "1"), ("prefixes",), ("whatif",)),
    *(("breaks",), ("ledger",), ("check",), ("tokenizer",), ("sql", "SELECT 1"), ("web",)),
    *(("replay", "{plan}"), ("nightly", "{plan}"), ("compare", "latest")),
    ("report", "run", "latest"),
)


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_a_database_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """A wrong --db says so, exits with 2, and leaves neither file nor lock behind."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(SIMULATED)
    database = tmp_path / "typo.duckdb"
    given = [word.format(plan=plan) for word in words]
    text = refused(capsys, 2, *given, "--db", str(database))
    assert f"there is no database `{database}`; choose one with --db" in text
    assert f"phasewise import --db {database} PATH" in text
    assert list(tmp_path.iterdir()) == [plan]


def test_a_folder_is_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder of a database in its place; no lock file appears beside it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for words in (("agents",), ("import", "x.jsonl"), ("up",)):
        text = refused(capsys, 2, *words, "--db", str(folder))
        assert f"`{folder}` is a folder; choose a database file with --db" in text
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("command", ["agents", "sessions", "calls"])
def test_an_empty_list_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """An empty database asks for an import, filters that match nothing for other filters."""
    database = empty_database(tmp_path)
    assert "phasewise import PATH" in refused(capsys, 0, command, "--db", database)
    text = refused(capsys, 0, command, "--db", database, "--source", "nowhere")
    assert "no calls match these filters" in text


@pytest.mark.parametrize("limit", ["-1", "0", "many"])
def test_a_limit_is_a_number_above_zero(capsys: pytest.CaptureFixture[str], limit: str) -> None:
    """Anything else is misuse, before the database is opened."""
    with pytest.raises(SystemExit) as ended:
        main(["calls", f"--limit={limit}"])
    assert ended.value.code == 2
    assert f"`{limit}` is not a whole number above 0" in capsys.readouterr().err


def test_a_plan_that_is_no_mapping_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text file in its place is told from a plan."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("hello")
    text = refused(capsys, 2, "replay", str(plan), "--db", str(tmp_path / "x.duckdb"))
    assert "plan.yaml: the file must be a mapping (`key: value` lines), not `hello`" in text

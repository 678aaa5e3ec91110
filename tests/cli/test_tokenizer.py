"""`phasewise tokenizer` as a person runs it."""

import json
from pathlib import Path

import pytest
from phasewise_store.facts import Usage
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.analyzer.facts_for_tests import messages, write_calls
from tests.tokenizers_for_tests import trained

TEXT = "Take the key, open the door, and count what is behind it: 12, 144, 1728. " * 20


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Give a database with a growing session of the model `served`."""
    path = tmp_path / "p.duckdb"
    with Store.open(path) as store:
        prompts = [messages([TEXT, *(f"{n}: {TEXT}" for n in range(step))]) for step in range(5)]
        usages = [Usage(uncached_tokens=700 * (step + 1)) for step in range(5)]
        write_calls(store, prompts, usages=usages, models=["served"] * 5)
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a folder with a tokenizer, as a model's has one."""
    folder = tmp_path / "tiny-model"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(trained(TEXT))
    return folder


def test_it_is_kept_listed_and_forgotten(
    database: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named after its folder; a second one takes the place of the first."""
    for path in (file, file / "tokenizer.json"):
        assert main(["tokenizer", "served", str(path), "--json", "--db", database]) == 0
        (kept,) = json.loads(capsys.readouterr().out)
        assert (kept["model"], kept["name"], kept["calls"]) == ("served", "tiny-model", 5)
        assert kept["interval"] <= kept["interval_without"]
    assert main(["tokenizer", "--db", database]) == 0
    assert "tiny-model" in capsys.readouterr().out
    assert main(["tokenizer", "served", "--forget", "--db", database]) == 0
    assert "no tokenizers stored" in capsys.readouterr().out


def test_what_does_not_fit_is_said(
    database: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tokenizer whose counts are far from the reports, and one of a model without calls."""
    assert main(["tokenizer", "served", str(file), "--db", database]) == 0
    assert "another model's tokenizer" in capsys.readouterr().err
    assert main(["tokenizer", "absent", str(file), "--db", database]) == 0
    assert "no calls of model `absent`; the models are: served" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["served"], "give MODEL FILE to store a tokenizer"),
        (["served", "nowhere/tokenizer.json"], "cannot read"),
        (["served", "{database}"], "not a tokenizer that"),
        (["absent", "--forget"], "no tokenizer of `absent` is stored in this database"),
        (["served", "{file}", "--forget"], "MODEL --forget to remove it"),
    ],
)
def test_misuse_is_a_sentence(
    database: str,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    """Exit code 2, and what to do."""
    given = [word.format(database=database, file=file) for word in words]
    assert main(["tokenizer", *given, "--db", database]) == 2
    assert sentence in capsys.readouterr().err

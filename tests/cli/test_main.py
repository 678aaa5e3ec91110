"""The command line: exit codes, streams, help."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from phasewise_web.cli.main import main, make_parser


def test_no_command_prints_the_help_and_counts_as_misuse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`phasewise` alone lists the commands and exits 2."""
    assert main([]) == 2
    assert "prefixes" in capsys.readouterr().out


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo exits 2 and lists what there is, on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(["prefxies"])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert "prefixes" in captured.err
    assert not captured.out


def test_every_command_has_a_summary() -> None:
    """Each command's first docstring line is its help."""
    text = make_parser().format_help()
    lines = text.split("COMMAND")[-1].splitlines()
    for line, following in pairwise([*lines, ""]):
        words = line.split()
        if line.startswith("    ") and words and line[4] != " ":
            # behind a long name, argparse puts the summary on the next line
            summary = words[1:] or (following.split() if following.startswith("     ") else [])
            assert len(summary) > 1, f"no summary: {line}"


def test_doctor_prints_json_on_stdout_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`doctor --json` gives one JSON document and exit 0 where the core is there."""
    assert main(["doctor", "--json", "--db", str(tmp_path / "x.duckdb")]) == 0
    captured = capsys.readouterr()
    checks = json.loads(captured.out)
    assert {check["state"] for check in checks if check["what"] == "duckdb"} == {"ok"}
    assert not captured.err


def test_an_error_is_a_sentence_not_a_traceback(tmp_path: Path) -> None:
    """A database in a folder that is not there ends with the cure on stderr and exit 1."""
    ended = subprocess.run(
        [sys.executable, "-m", "phasewise_web.cli.main", "agents", "--json"],
        env=os.environ | {"PHASEWISE_DB": str(tmp_path / "nowhere" / "x.duckdb")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert not ended.stdout
    assert "does not exist" in ended.stderr
    assert "Traceback" not in ended.stderr

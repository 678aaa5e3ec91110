"""The command line: exit codes, streams, help."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from phasewise_web.cli.main import main, make_overview, make_parser


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


def test_the_help_of_the_demo_names_its_own_database(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo does not touch the database of the folder, and its help does not say so."""
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    assert "(default: .demo/phasewise.duckdb)" in " ".join(capsys.readouterr().out.split())


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
        [sys.executable, "-m", "phasewise_web.cli.main", "import", "--json", "x.jsonl"],
        env=os.environ | {"PHASEWISE_DB": str(tmp_path / "nowhere" / "x.duckdb")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert not ended.stdout
    assert "does not exist" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_overview_lists_what_the_commands_say_of_themselves() -> None:
    """`phasewise --help` reads the summaries from the sources, and they are the commands' own."""
    assert make_overview().format_help() == make_parser().format_help()


SERVER_ONLY = (
    "duckdb",
    "polars",
    "numpy",
    "rich",
    "orjson",
    "grpc",
    "uvicorn",
    "fastapi",
    "jinja2",
)
BASE_INSTALL = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))  # None: the import fails
from phasewise_web.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def _in_a_base_install(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command where nothing can be imported that only the `server` extra brings."""
    command = [sys.executable, "-c", BASE_INSTALL, ",".join(SERVER_ONLY), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["up", "agents", "import", "demo"])
def test_a_command_of_the_program_names_the_pip_line(command: str) -> None:
    """In a base install a command says in one line what installs the rest, and exits 2."""
    ended = _in_a_base_install(command)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"phasewise {command}: ")
    assert line.endswith("pip install 'phasewise[server]'")


@pytest.mark.parametrize(
    "words", [("env", "codex"), ("env", "codex", "--json"), ("doctor",), ("--help",)]
)
def test_commands_about_tracing_need_the_base_install_only(words: tuple[str, ...]) -> None:
    """`env` and `doctor` work beside the tracer alone."""
    ended = _in_a_base_install(*words)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_run_needs_the_base_install_only() -> None:
    """`phasewise run -- CMD` becomes the program."""
    ended = _in_a_base_install("run", "--", sys.executable, "-c", "print('traced')")
    assert (ended.returncode, ended.stdout) == (0, "traced\n")


def test_doctor_names_what_a_part_lacks_and_the_line_that_installs_it(tmp_path: Path) -> None:
    """A library that cannot be imported breaks the part that needs it, and doctor exits 1."""
    command = [sys.executable, "-c", BASE_INSTALL, "grpc", "doctor", "--json"]
    ended = subprocess.run(
        [*command, "--db", str(tmp_path / "x.duckdb")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    checks = {check["what"]: check for check in json.loads(ended.stdout)}
    receiver = checks["OTLP receiver"]
    assert (receiver["state"], receiver["detail"]) == ("broken", "`grpc` is not installed")
    assert receiver["cure"] == "pip install 'phasewise[server]'"
    assert checks["store"]["state"] == "ok"

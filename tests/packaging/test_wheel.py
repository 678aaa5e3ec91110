"""What people install works: the wheel in an environment that holds nothing else, and the sdist."""

import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.cli.test_up import PATIENCE_S, send, until, up
from tests.packaging.environments import (
    Built,
    Environment,
    build,
    contents,
    install,
    wheel_of,
)
from tests.packaging.size import measure

pytestmark = [pytest.mark.wheel, pytest.mark.slow]

MOST_BASE_BYTES = 25_000_000
MOST_IMPORT_RATIO = 4.0
"""of the SDK's own import time; a database or a data frame library would be far beyond it"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build wheel and sdist once."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, built: Built) -> Environment:
    """Install the wheel alone."""
    return install(tmp_path_factory.mktemp("base") / "venv", built.wheel)


def call(environment: Environment, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run the installed command."""
    return subprocess.run(
        [str(environment.phasewise), *words],
        env=environment.variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_sdist_builds_the_same_wheel(tmp_path: Path, built: Built) -> None:
    """File by file: what is proved of the wheel holds for the sdist."""
    again = wheel_of(built.sdist, tmp_path)
    assert contents(again) == contents(built.wheel)


def test_an_installed_program_collects_and_answers(tmp_path: Path, built: Built) -> None:
    """Install, `up`, one POST, the page shows it, stop, one query: all from the wheel alone."""
    program = install(tmp_path / "venv", built.wheel, "server")
    database = tmp_path / "p.duckdb"
    command = (str(program.phasewise),)
    with up(database, command=command, variables=program.variables, folder=tmp_path) as running:
        send(running.otlp, 1)
        until(lambda: httpx.get(f"{running.pages}/agents.json").json()["totals"]["calls"] == 1)
        refused = httpx.post(f"{running.otlp}/v1/traces", content=b"no", headers={"a": "b"})
        assert refused.status_code == 415
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_S) == 0
    query = "SELECT count(*) AS calls, sum(input_tokens)::INT AS tokens FROM llm_calls"
    asked = call(program, "sql", query, "--json", "--db", str(database), cwd=tmp_path)
    assert json.loads(asked.stdout) == [{"calls": 1, "tokens": 100}]
    checks = json.loads(call(program, "doctor", "--json", cwd=tmp_path).stdout)
    assert not [check for check in checks if check["state"] == "broken"]
    installed = call(program, "demo", "--no-serve", cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr


def test_the_base_install_is_small_and_quick_to_import(
    base: Environment, alone: Callable[[], AbstractContextManager[None]]
) -> None:
    """A program that only wants `phasewise.init()` gets no database with it."""
    size = measure(base)
    if size.import_ratio > MOST_IMPORT_RATIO:  # other tests can delay one import and not the other
        with alone():
            size = measure(base)
    assert size.installed_bytes <= MOST_BASE_BYTES
    assert size.import_ratio <= MOST_IMPORT_RATIO


def test_the_base_install_traces_and_names_what_the_rest_needs(
    tmp_path: Path, base: Environment
) -> None:
    """`init()`, `run` and `env` work; a command of the program exits 2 with the pip line."""
    script = "import phasewise; phasewise.init(); print(phasewise.flush(0))"
    program = ["run", "--endpoint", "http://127.0.0.1:9", "--", str(base.python), "-c", script]
    assert call(base, *program, cwd=tmp_path).stdout == "True\n"
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in call(base, "env", "claude-code", cwd=tmp_path).stdout
    for command in ("up", "agents", "demo"):
        ended = call(base, command, cwd=tmp_path)
        assert ended.returncode == 2
        assert ended.stderr.endswith("pip install 'phasewise[server]'\n")
        assert len(ended.stderr.splitlines()) == 1

"""`phasewise run`: programs of other environments, and the last line of one that called nothing."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import urllib3
from phasewise.at_exit import LINE
from phasewise_collector.loader import Loader
from phasewise_store import reads
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import acceptor
from tests.tracer.chat_server import chat_server
from tests.tracer.test_init import INIT

ASK = """
import sys, urllib3
body = {"model": "stand-in", "messages": [{"role": "user", "content": "hello"}]}
urllib3.PoolManager().request("POST", BASE + "/chat/completions", json=body)
for name in ("polars", "duckdb", "openai", "fastapi"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} came with the tracer")
"""


def test_a_program_of_another_environment_is_traced(tmp_path: Path) -> None:
    """Its Python has no Phasewise and no OpenTelemetry: it gets those, and nothing else of ours."""
    python, packages = other_environment(tmp_path)
    (packages / "urllib3").symlink_to(Path(urllib3.__file__).parent)
    (packages / "sitecustomize.py").write_text("import sys\nsys.own_sitecustomize = True\n")
    program = tmp_path / "program.py"
    with acceptor(tmp_path / "log") as running, chat_server() as server, Store.in_memory() as store:
        # Debian's Python has one of its own, which wins over that of an environment
        loads = "import sys; print(hasattr(sys, 'own_sitecustomize'))"
        plain = subprocess.check_output([str(python), "-c", loads], text=True).strip()
        checks = f"assert hasattr(sys, 'own_sitecustomize') is {plain}"
        program.write_text(f"BASE = {server.base_url!r}\n{ASK}{checks}\nprint('done')\n")
        ended = run(tmp_path, str(python), str(program), PHASEWISE_ENDPOINT=running.address)
        assert (ended.stdout, ended.stderr, ended.returncode) == ("done\n", "", 0)
        Loader(store, running.folder).load()
        assert reads.llm_calls(store)["input_tokens"].to_list() == [100]


def test_a_program_that_cannot_be_traced_runs_on(tmp_path: Path) -> None:
    """An OpenTelemetry of its own that is too old: one line says why, and the program ends well."""
    python, packages = other_environment(tmp_path)
    (packages / "opentelemetry").mkdir()
    (packages / "opentelemetry" / "__init__.py").write_text("raise ImportError('too old')\n")
    ended = run(tmp_path, str(python), "-c", "print('done')")
    assert (ended.stdout, ended.returncode) == ("done\n", 0)
    assert ended.stderr == "phasewise: this program is not traced: too old\n"


def other_environment(tmp_path: Path) -> tuple[Path, Path]:
    """Make an empty environment; give its Python and the folder of its packages."""
    venv.create(tmp_path / "other", with_pip=False, symlinks=True)
    (packages,) = (tmp_path / "other" / "lib").glob("python*/site-packages")
    return tmp_path / "other" / "bin" / "python", packages


def run(tmp_path: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the tracer on, of an environment that knows nothing of this one."""
    outside = f"import runpy, sys; sys.path[:0] = {sys.path!r}; sys.argv[0] = 'phasewise'; "
    outside += "runpy.run_module('phasewise_web.cli.main', run_name='__main__')"
    environment = _environment(tmp_path) | variables
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [sys.executable, "-c", outside, "run", "--", *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        (INIT, [LINE]),
        (f"{INIT}import os\nif os.fork() == 0: raise SystemExit\nos.wait()\n", [LINE]),
        ("import phasewise; phasewise.init(quiet=True)", []),
        ("import phasewise; phasewise.flush()", []),
        ("import phasewise; phasewise.init(disabled=True)", []),
    ],
    ids=["plain", "forked", "quiet", "never-started", "disabled"],
)
def test_silence_is_said_once(tmp_path: Path, program: str, lines: list[str]) -> None:
    """A program that was traced and made no call says so at its end, on stderr."""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr.splitlines() == lines


def _environment(tmp_path: Path) -> dict[str, str]:
    nowhere = {"PHASEWISE_ENDPOINT": "http://127.0.0.1:9", "PHASEWISE_RING": str(tmp_path / "ring")}
    return os.environ | nowhere

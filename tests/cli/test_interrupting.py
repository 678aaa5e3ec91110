"""Ctrl-C in the middle of a long command: a word, exit code 130, and a database that is whole."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from phasewise_store import reads
from phasewise_store.store import Store

from tests.cli.test_up import until


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.5, 1.5, 2.5])
def test_an_import_that_is_interrupted_keeps_whole_files(
    tmp_path: Path, shared_traces: Path, after_s: float
) -> None:
    """No traceback, whatever was at work; what is stored can be read."""
    database = tmp_path / "x.duckdb"
    command = [sys.executable, "-m", "phasewise_web.cli.main", "import", "--db", str(database)]
    with subprocess.Popen(
        [*command, str(shared_traces)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as importing:
        until(database.exists)
        time.sleep(after_s)  # somewhere in the half minute that the import takes
        importing.send_signal(signal.SIGINT)
        _, said = importing.communicate(timeout=60)
    assert importing.returncode == 130
    assert "Traceback" not in said
    assert said.endswith("phasewise import: interrupted\n")
    with Store.open(database) as store:
        reads.llm_calls(store)

"""`phasewise import --watch` adds what a session file grows by, and ends well on Ctrl-C."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from phasewise_store import reads
from phasewise_store.store import Store

from tests.collector.importers.test_synchronising import PROJECT, write


def test_a_file_that_grows_is_read_again_until_ctrl_c(tmp_path: Path) -> None:
    """One call at first, one more when the file has grown; SIGINT ends it with exit code 0."""
    path = write(tmp_path, f"{PROJECT}.jsonl", 3)
    command = [
        *(
            sys.executable,
            "-c",
            "from phasewise_web.cli.main import main; raise SystemExit(main())",
        ),
        *("import", "--watch", "--json", "--db", str(tmp_path / "x.duckdb"), str(path)),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "watching" in watching.stderr.readline()
        first = _document(watching.stdout)
        with Store.open(tmp_path / "x.duckdb") as beside:
            assert reads.llm_calls(beside).height == 1
        write(tmp_path, f"{PROJECT}.jsonl", 5)
        second = _document(watching.stdout)
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert (first["llm_calls"], second["llm_calls"]) == (1, 1)
    assert (second["grown_sessions"], second["known_calls"]) == (1, 1)


def _document(lines: IO[str]) -> dict[str, int]:
    text = ""
    while True:
        text += lines.readline()
        try:
            found: dict[str, int] = json.loads(text)
        except json.JSONDecodeError:
            continue
        return found

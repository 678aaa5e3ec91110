"""What runs on the GPU machine needs no store: neither DuckDB nor polars is imported."""

import subprocess
import sys

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"duckdb", "polars", "pyarrow", "fastapi", "grpc"}:
            raise ModuleNotFoundError(f"`{name}` is not on the GPU machine", name=name)

sys.meta_path.insert(0, Absent())
from phasewise_replay.gpu import on_machine

sys.exit(on_machine.main(["no-such-file", "results"]))
"""


def test_the_driving_half_runs_without_the_store() -> None:
    """It starts, and says what is wrong with its pack."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False
    )
    assert "cannot read the pack `no-such-file`" in done.stderr
    assert done.returncode == 2

"""The file is one for DuckDB 1.5 and 2.0."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from phasewise_store.store import Store

from tests.store.facts_for_tests import growing_session

OLDER = Path(__file__).parents[2] / ".engines" / "duckdb-1.5"

READ_AND_WRITE = """
import sys, duckdb
from pathlib import Path
from phasewise_store.store import Store
from phasewise_store import reads
from tests.store.facts_for_tests import growing_session
assert duckdb.__version__.startswith("1.5"), duckdb.__version__
with Store.open(Path(sys.argv[1])) as store:
    assert reads.llm_calls(store).height == 3
    store.write(growing_session(2, "s2"))
    store.rewrite(growing_session(2, "s2"))
"""


@pytest.mark.engine
def test_duckdb_1_5_reads_and_writes_what_2_0_wrote(tmp_path: Path) -> None:
    """A file goes from the installed DuckDB to 1.5.5 and back, with facts added on both sides."""
    if not OLDER.is_dir():
        pytest.skip("needs DuckDB 1.5.5 beside the installed one:  make duckdb-1.5")
    path = tmp_path / "x.duckdb"
    with Store.open(path) as store:
        store.write(growing_session(3))
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", READ_AND_WRITE, str(path)],
        check=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{OLDER}{os.pathsep}{root}"},
    )
    with Store.open(path) as store:
        (calls,) = store.frame("SELECT count(*) AS n FROM llm_calls")["n"].to_list()
    assert calls == 5

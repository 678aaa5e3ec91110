"""Every case gives its right values: imported once, and imported again in the opposite order."""

from pathlib import Path

import pytest

from tests.cases import judging

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/expected.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_gives_its_right_values(tmp_path: Path, case: Path) -> None:
    """What is imported is what the case's author says is right; importing again adds nothing."""
    database = tmp_path / "case.duckdb"
    wanted = judging.expected(case)
    skipped = judging.imported(database, judging.parts(case))
    assert judging.faults(database, wanted, skipped) == []
    judging.imported(database, reversed(judging.parts(case)))
    assert judging.faults(database, wanted, skipped) == []

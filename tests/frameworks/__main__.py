"""Print what the agent programs show:  python -m tests.frameworks [PART-OF-A-NAME…]."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.frameworks.cases import CASES, Case, Runs, name_of, running
from tests.frameworks.running import BUSY, is_installed


def main(parts: list[str]) -> int:
    """Run the programs whose names hold one of these parts; give 1 where anything is wrong."""
    wanted = [
        case
        for case in CASES
        if is_installed(*case) and (not parts or any(part in name_of(case) for part in parts))
    ]
    faults = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        running(wanted, Path(folder)) as runs,
    ):
        for case in wanted:
            faults += _print(case, runs)
    return 1 if faults else 0


def _print(case: Case, runs: Runs) -> int:
    run, judged = runs.last[name_of(case)], runs.judged(case)
    faults, known = runs.faults(case), case[0].wrong
    marks = "  ".join(
        f"{name} {('known' if name in known else 'wrong') if found else 'right'}"
        for name, found in faults.items()
    )
    print(
        f"{name_of(case):<36}{len(judged.answered):>3} answered {len(judged.calls):>3} calls  "
        f"{marks}  ({run.took_s:.0f} s, exit {run.exit_code})"
    )
    if run.exit_code != case[0].exit_code:
        print(_indented(run.said.splitlines()[-12:]))
    if run.others > BUSY:
        print(
            _indented([f"others took {run.others:.1f} processors: its times tell nothing"]), end=""
        )
    for name, found in faults.items():
        print(_indented([f"known: {known[name]}"] if found and name in known else found), end="")
    counted = (name for name in faults if not (name == "times" and run.others > BUSY))
    return sum(len(faults[name]) for name in counted if name not in known)


def _indented(lines: Iterable[str]) -> str:
    return "".join(f"      {line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

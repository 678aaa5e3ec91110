"""Every program in every mode, and what became of those that were run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.frameworks.expectations import JAVASCRIPT, PYTHON, Mode, Part, Program
from tests.frameworks.judging import Judged
from tests.frameworks.running import Run, Suite, is_busy, suite

Case = tuple[Program, Mode]
CASES: tuple[Case, ...] = (
    *((program, "extra") for program in PYTHON),
    *((program, "wire") for program in PYTHON),
    *((program, "extra") for program in JAVASCRIPT),
)
"""JavaScript has no tracer of ours: these programs export what their libraries say"""


def name_of(case: Case) -> str:
    """Name a case: the program, and how it was traced."""
    return f"{case[0].name}-{case[1]}"


@dataclass
class Runs:
    """Programs that were run, and the store that holds their calls."""

    suite: Suite
    last: dict[str, Run] = field(default_factory=dict)
    """by the name of the case"""

    def judged(self, case: Case) -> Judged:
        """Give a case's calls beside the server's log."""
        run = self.last[name_of(case)]
        return Judged(self.suite.store, run.name, self.suite.models.requests(run.name))

    def is_late(self, case: Case) -> bool:
        """Say whether a time is wrong that can be right: others may have held the processor."""
        return "times" not in case[0].wrong and bool(self.faults(case)["times"])

    def faults(self, case: Case) -> dict[Part, list[str]]:
        """Say what is wrong with each part."""
        judged = self.judged(case)
        return {
            "calls": list(judged.faults_of_calls(case[0])),
            "times": list(judged.faults_of_times(case[0])),
            "structure": list(judged.faults_of_structure(*case)),
        }


@contextmanager
def running(cases: Sequence[Case], folder: Path) -> Iterator[Runs]:
    """Run all side by side; once more, alone, each that was late, where that can tell anything."""
    with suite(folder) as live:
        runs = Runs(live)
        runs.last.update(zip(map(name_of, cases), live.run(cases), strict=True))
        live.settle()
        late = [case for case in cases if runs.is_late(case)]
        late = [] if late and is_busy() else late
        runs.last.update(zip(map(name_of, late), live.run(late, ".again"), strict=True))
        live.settle()
        yield runs

"""The list of replay runs, and the verdict of one."""

from dataclasses import dataclass

from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_reports.charts import IntervalPlot, interval_plot
from phasewise_store import runs
from phasewise_store.run_facts import Arm, Run
from phasewise_store.store import Store

from phasewise_web.pages import nights
from phasewise_web.pages.nights import NightlyRow


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run and its arms."""

    run: Run
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class RunsPage:
    """The newest first."""

    rows: tuple[RunRow, ...]
    nightly: tuple[NightlyRow, ...]
    """names that `phasewise nightly` runs"""


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run, judged."""

    verdict: Verdict
    plot: IntervalPlot | None


def runs_page(store: Store) -> RunsPage:
    """Make the list."""
    return RunsPage(
        tuple(RunRow(run, tuple(runs.arms(store, run.run_id))) for run in runs.runs(store)),
        nights.names(store),
    )


def run_page(store: Store, run_id: str) -> RunPage:
    """Make the verdict's page; raises UsageError where the run is not there."""
    verdict = compare(store, run_id)
    return RunPage(verdict, interval_plot(verdict.metrics, verdict.control.metrics))

"""The commands about runs: replay, compare, nightly, report, demo."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from phasewise_replay.nights import night_record
from phasewise_store import nights, runs
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.replay.recorded import write_sessions
from tests.replay.test_run import SIMULATED


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Give a database with recorded sessions."""
    path = tmp_path / "p.duckdb"
    with Store.open(path) as store:
        write_sessions(store)
    return str(path)


def written(tmp_path: Path, text: str, name: str = "plan.yaml") -> str:
    """Write a file and give its path."""
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_replay_and_compare_print_the_contract_s_json(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arms, metrics with their interval and verdict, control, fidelity; compare finds the run."""
    assert main(["replay", written(tmp_path, SIMULATED), "--json", "--db", database]) == 0
    ran = json.loads(capsys.readouterr().out)
    assert main(["compare", "latest", "--json", "--db", database]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared == ran
    assert {"arms", "metrics", "control", "fidelity"} <= ran.keys()
    keys = {"name", "unit", "baseline", "arm", "difference", "ci95", "verdict"}
    assert all(keys <= metric.keys() for metric in ran["metrics"])
    assert ran["metrics"][0]["ci95"][1] < 0


def test_the_verdict_is_printed_for_people(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The headline, the arms, every measure, the control and the fidelity."""
    assert main(["replay", written(tmp_path, SIMULATED), "--db", database]) == 0
    out = capsys.readouterr().out
    for words in ("95 % CI", "A/A control", "fidelity: passed", "Prefill time per session"):
        assert words in out


def test_a_run_where_no_arm_could_run_exits_1(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine's reason is printed."""
    text = SIMULATED.replace("qwen3-8b", "llama-3.1-70b").replace("h100-sxm", "l4")
    assert main(["replay", written(tmp_path, text), "--db", database]) == 1
    assert "does not fit" in capsys.readouterr().out


def test_wrong_plans_and_runs_exit_2(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan that is not there, one with a typo, a run that is not there."""
    assert main(["replay", str(tmp_path / "none.yaml"), "--db", database]) == 2
    typo = written(tmp_path, SIMULATED.replace("gpu:", "gup:"))
    assert main(["replay", typo, "--db", database]) == 2
    assert main(["compare", "nobody", "--db", database]) == 2
    assert "phasewise replay" in capsys.readouterr().err
    same = written(tmp_path, SIMULATED.replace("prefix-caching-off", "prefix-caching-on"))
    assert main(["replay", same, "--db", database]) == 2
    assert "arm `on` is the same as the baseline `off`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "begins"), [("r.html", "<!doctype"), ("r.md", "# "), ("r.json", "{")]
)
def test_a_report_is_written_in_the_form_of_its_name(
    tmp_path: Path, database: str, name: str, begins: str
) -> None:
    """HTML, Markdown, JSON; another ending is refused."""
    main(["replay", written(tmp_path, SIMULATED), "--db", database])
    out = tmp_path / name
    assert main(["report", "run", "latest", "-o", str(out), "--db", database]) == 0
    assert out.read_text().lstrip().startswith(begins)
    assert main(["report", "run", "latest", "-o", "r.pdf", "--db", database]) == 2


def test_nights_pass_until_something_gets_worse(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first night has nothing to compare with, the second is equal, the third regresses."""
    text = f"{SIMULATED}\nreports: {tmp_path}/reports\n"
    assert main(["nightly", written(tmp_path, text), "--db", database]) == 0
    assert "first run of this name" in capsys.readouterr().out
    assert main(["nightly", written(tmp_path, text), "--db", database]) == 0
    assert "no regression" in capsys.readouterr().out
    slower = written(tmp_path, text.replace("h100-sxm", "a100-80gb"))
    assert main(["nightly", slower, "--json", "--db", database]) == 1
    night = json.loads(capsys.readouterr().out)
    worse = {(one["arm"], one["metric"]["name"]) for one in night["regressions"]}
    assert ("on", "prefill_s") in worse
    for ending, files in ((".html", 3), (".json", 3), (".junit.xml", 3), (".prom", 1)):
        assert len(list((tmp_path / "reports").glob(f"*{ending}"))) == files


def test_old_nights_leave_their_trend(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of four nights two are kept, with their reports; all four stay in the trend."""
    text = f"{SIMULATED}\nreports: {tmp_path}/reports\nkeep_nights: 2\n"
    same = written(tmp_path, text)
    assert [main(["nightly", same, "--db", database]) for _ in range(2)] == [0, 0]
    slower = written(tmp_path, text.replace("h100-sxm", "a100-80gb"))
    assert [main(["nightly", slower, "--db", database]) for _ in range(2)] == [1, 0]
    capsys.readouterr()
    with Store.open(Path(database)) as store:
        left = runs.runs(store)
        found = nights.nights(store, left[0].name)
        measures = nights.measures(store, left[0].name)
        assert not store.frame("SELECT * FROM measured_calls ANTI JOIN runs USING (run_id)").height
    assert [night.status for night in found] == ["passed", "regressed", "passed", "passed"]
    assert [run.run_id for run in left] == [night.run_id for night in found[:2]]
    prefill = [one for one in measures if (one.arm, one.measure) == ("on", "prefill_s")]
    assert [one.regressed for one in prefill] == [False, False, True, False]
    assert [one.change_percent is None for one in prefill] == [True, False, False, False]
    assert prefill[0].value == prefill[1].value
    assert prefill[2].value == prefill[3].value
    change = prefill[2].change_percent
    assert change is not None
    assert prefill[1].value is not None
    assert prefill[2].value == pytest.approx(prefill[1].value * (1 + change / 100))
    kept = {run.run_id for run in left}
    for ending in (".html", ".json", ".junit.xml"):
        files = (tmp_path / "reports").glob(f"*{ending}")
        assert {path.name.removesuffix(ending) for path in files} == kept


def test_the_last_valid_night_is_kept_however_old(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next night is compared with it."""
    same = written(tmp_path, SIMULATED)
    assert main(["nightly", same, "--db", database]) == 0
    with Store.open(Path(database)) as store:
        (valid,) = nights.nights(store)
        for day in (1, 2):
            later = replace(valid, run_id=f"void-{day}", started_ns=valid.started_ns + day)
            nights.put(store, replace(later, status="void"), [])
        assert not night_record.forget_old(store, valid.name, 1)
        assert [run.run_id for run in runs.runs(store)] == [valid.run_id]


def test_the_demo_shows_everything_and_again_adds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Agents, reuse and a verdict; the second time all files are there already."""
    database = str(tmp_path / "demo" / "p.duckdb")
    assert main(["demo", "--no-serve", "--db", database]) == 0
    first = capsys.readouterr()
    assert "claude-code" in first.out
    assert "fidelity: passed" in first.out
    assert main(["demo", "--no-serve", "--db", database]) == 0
    assert "0 sample files read" in capsys.readouterr().err

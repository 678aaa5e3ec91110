"""`phasewise gpu import`: results of a GPU machine become runs, and their tables are shown."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from phasewise_replay.gpu import lone_steps
from phasewise_replay.gpu.lone_steps import Steps
from phasewise_replay.gpu.results_file import FileRecording
from phasewise_replay.plans.arms import VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import arm_document, as_yaml
from phasewise_replay.records import arm_record
from phasewise_store.run_facts import Arm, MeasuredCall, Run
from phasewise_store.store import Store
from phasewise_web.cli.main import main

from tests.replay.gpu.plans import PLAN
from tests.replay.recorded import write_sessions
from tests.replay.test_engine_time import MS, RECORD

Shown = Callable[[], str]


def results(path: Path) -> Path:
    """Write what a run of designed steps on an H200 leaves behind: one arm, two blocks."""
    arm = VllmArm("prefix-caching", "llama-3.1-8b", flags={"enable-prefix-caching": True})
    plan = Plan("kit-steps", (arm,), order="once")
    sessions = lone_steps.sessions(Steps(prefill=(8192,), cached=((8192, 512),)))
    recording = FileRecording(path)
    recording.add("machine", {"machine": RECORD.machine})
    recording.add_run(Run("kit-steps-1", plan.name, as_yaml(plan), 10**18))
    config = json.dumps(arm_document(arm))
    recording.put_arm(Arm("kit-steps-1", arm.name, 0, "vllm", config, arm_record.encode(RECORD)))
    places = itertools.count()
    recording.add_calls(
        [
            MeasuredCall(
                "kit-steps-1",
                arm.name,
                block,
                session.session_id,
                step.call_id,
                step.step,
                sent_ns=10**18 + next(places) * 10**9,
                lag_ns=0,
                planned_output_tokens=1,
                basis="measured",
                ttft_ns=101 * MS,
                duration_ns=101 * MS,
                queue_ns=0,
                prefill_ns=100 * MS,
                decode_ns=0,
                input_tokens=sum(segment.tokens for segment in step.prompt),
                cached_tokens=8192 * step.step,
                output_tokens=1,
            )
            for block in (0, 1)
            for session in sessions
            for step in session.steps
        ]
    )
    recording.add("end", {"status": "finished", "detail": None, "seconds": 5.0})
    recording.close()
    return path


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    """Give what was printed since the last time."""
    return lambda: capsys.readouterr().out


def test_results_are_imported_into_a_database_that_does_not_exist_yet(
    tmp_path: Path, shown: Shown
) -> None:
    """The database is made; a wrong name makes none."""
    database = tmp_path / "new.duckdb"
    assert main(["gpu", "import", str(tmp_path / "nothing"), "--db", str(database)]) == 2
    assert not database.exists()
    path = results(tmp_path / "results.jsonl")
    assert main(["gpu", "import", str(path), "--json", "--db", str(database)]) == 0
    (run,) = json.loads(shown())
    assert (run["run_id"], run["status"], run["calls"]) == ("kit-steps-1", "finished", 6)


def test_gpu_seconds_dollars_and_lone_steps_are_shown_everywhere(
    tmp_path: Path, shown: Shown
) -> None:
    """The same numbers in `compare --json`, the printed tables and the report."""
    database = str(tmp_path / "new.duckdb")
    main(["gpu", "import", str(results(tmp_path / "results.jsonl")), "--db", database])
    shown()
    main(["compare", "latest", "--json", "--gpu-usd-hour", "3.6", "--db", database])
    found = json.loads(shown())
    (time,) = found["engine_time"]
    assert time["prefill_s"] == pytest.approx((0.1 + 0.2) / 2)
    assert time["prefill_usd"] == pytest.approx(0.001 * time["prefill_s"])
    first, second = found["lone_steps"]
    assert (first["new_tokens"], first["cached_tokens"], first["samples"]) == (8192, 0, 2)
    assert (second["new_tokens"], second["cached_tokens"], second["samples"]) == (512, 8192, 2)
    assert first["measured_s"] == pytest.approx(0.1)
    assert 0 < second["prior_s"] < first["prior_s"]
    main(["compare", "latest", "--db", database])
    printed = shown()
    main(["report", "run", "latest", "--db", database])
    report = shown()
    for text in (printed, report):
        assert "lone steps" in text.lower()
        assert "h200-sxm" in text
        assert f"{first['prior_s']:.4g}" in text
    page = tmp_path / "report.html"
    main(["report", "run", "latest", "-o", str(page), "--db", database])
    assert "Engine time per session" in page.read_text()


def test_a_price_must_be_a_number_above_zero(tmp_path: Path) -> None:
    """Exit 2, before the database is opened."""
    for price in ("0", "-1", "much", "inf", "nan"):
        with pytest.raises(SystemExit) as stopped:
            main(["compare", "latest", "--gpu-usd-hour", price, "--db", str(tmp_path / "none")])
        assert stopped.value.code == 2


def test_a_pack_says_which_sessions_it_took_and_what_it_replaced(
    tmp_path: Path, shown: Shown
) -> None:
    """In words, and as JSON."""
    (tmp_path / "plan.yaml").write_text(PLAN.replace("model: shape", "model: llama-3.1-8b"))
    database = tmp_path / "db"
    with Store.own(database) as store:
        write_sessions(store)
    command = ["gpu", "pack", str(tmp_path / "plan.yaml"), str(tmp_path / "pack")]
    assert main([*command, "--db", str(database)]) == 0
    assert "kit-agents:\n  sessions: all 6 sessions\n  secrets: none found" in shown()
    assert main([*command, "--db", str(database), "--json"]) == 0
    agents, steps = json.loads(shown())
    assert agents["selections"][0]["session_ids"] == [f"s{number}" for number in range(6)]
    assert steps["selections"] == []

"""The order of a pack's arms under a budget, on engines and a clock that the test makes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from phasewise_replay.engine import Answer, Engine, Request
from phasewise_replay.engines.fake import FakeEngine, usual_answer
from phasewise_replay.gpu import kit_plan, pack
from phasewise_replay.gpu.budget import Budget
from phasewise_replay.gpu.execute import Choice, chosen, execute
from phasewise_replay.gpu.pack_file import Pack
from phasewise_replay.gpu.results_file import FileRecording
from phasewise_replay.gpu.results_import import import_results
from phasewise_replay.plans.arms import VllmArm
from phasewise_replay.records import arm_record
from phasewise_replay.records.arm_record import BlockRecord
from phasewise_store import runs
from phasewise_store.errors import EngineError
from phasewise_store.run_facts import Arm, Run
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_engine_time import RECORD, call

PLAN = """
name: kit
model: some-model
flags: {gpu: {seed: 0, max-model-len: 9}}
arms: {a: {}, b: {seed: 1}, c: {}}
stages:
  - {name: one, sessions: [{source: recorded, limit: 2}]}
  - {name: two, concurrency: 2, sessions: [{source: recorded, limit: 2}]}
"""
BLOCK_CALLS = 8 + 2
"""two sessions of four calls, and the canary twice"""
WARMUP_CALLS = 4


@dataclass
class Machine:
    """Engines whose calls take one second of a clock that only they move."""

    now_s: float = 0.0
    flags: dict[str, object] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    dies: Callable[[str, Request], bool] = lambda _arm, _request: False

    def engine(self, arm: VllmArm) -> Engine:
        """Make the engine of an arm."""
        self.started.append(arm.name)
        self.flags[arm.name] = dict(arm.flags)

        def answer(request: Request) -> Answer:
            self.now_s += 1
            if self.dies(arm.name, request):
                raise EngineError("CUDA error: out of memory")
            return usual_answer(request)

        return FakeEngine(answer=answer)


def made(folder: Path, text: str) -> Pack:
    """Pack the plan."""
    (folder / "plan.yaml").write_text(text)
    with Store.in_memory() as store:
        write_sessions(store)
        return pack.pack(store, kit_plan.read(folder / "plan.yaml"))


def executed(folder: Path, machine: Machine, seconds: float, text: str = PLAN) -> Path:
    """Run all of it under a budget."""
    whole = made(folder, text)
    recording = FileRecording(folder / "results")
    execute(
        whole,
        chosen(whole, Choice(), "gpu"),
        recording,
        budget=Budget(seconds, lambda: machine.now_s),
        engine_for=machine.engine,
        joules=lambda: machine.now_s * 700,
        say=lambda _text: None,
    )
    recording.add("end", {"status": "finished", "detail": None, "seconds": machine.now_s})
    recording.close()
    return folder / "results"


def test_a_stage_of_few_arms_runs_on_those_and_the_baseline(tmp_path: Path, store: Store) -> None:
    """Stage two on `b` only: `c` runs stage one alone, and takes half of the time."""
    machine = Machine()
    text = PLAN.replace("concurrency: 2, ", "concurrency: 2, arms: [b], ")
    one, two = import_results(store, executed(tmp_path, machine, seconds=1000, text=text))
    assert machine.started == ["a", "b", "c", "a"]
    assert [arm.arm for arm in runs.arms(store, one.run_id)] == ["a", "b", "c"]
    assert [arm.arm for arm in runs.arms(store, two.run_id)] == ["a", "b"]
    assert machine.now_s == 3.5 * VISIT_S


VISIT_S = 2 * (WARMUP_CALLS + 2 * BLOCK_CALLS)
"""two stages, two blocks each"""


def test_arms_run_in_order_of_worth_between_two_turns_of_the_baseline(tmp_path: Path) -> None:
    """Each engine is started once for both stages, the baseline's a second time at the end."""
    machine = Machine()
    executed(tmp_path, machine, seconds=1000)
    assert machine.started == ["a", "b", "c", "a"]
    assert machine.now_s == 4 * VISIT_S


def test_an_arm_that_would_cost_the_baseline_its_last_turn_is_skipped(
    tmp_path: Path, store: Store
) -> None:
    """Time for three visits and a half: the least worthy arm is skipped, with the figures."""
    machine = Machine()
    found = import_results(store, executed(tmp_path, machine, seconds=3.5 * VISIT_S))
    assert machine.started == ["a", "b", "a"]
    for run in found:
        arms = runs.arms(store, run.run_id)
        assert [arm.status for arm in arms] == ["ok", "ok", "skipped"]
        assert arms[2].reason == (
            "69 s of 168 were left; an arm takes 48, and the baseline's last turn 48"
        )


def test_an_engine_that_dies_ends_its_arm_in_the_stages_that_are_due(
    tmp_path: Path, store: Store
) -> None:
    """The first stage of the arm is complete and stays; the second failed; the others run on."""
    calls: list[str] = []

    def dies(arm: str, request: Request) -> bool:
        calls.append(arm)
        return arm == "b" and calls.count("b") > VISIT_S / 2 + 5

    one, two = import_results(store, executed(tmp_path, Machine(dies=dies), seconds=1000))
    assert [arm.status for arm in runs.arms(store, one.run_id)] == ["ok", "ok", "ok"]
    assert [arm.status for arm in runs.arms(store, two.run_id)] == ["ok", "failed", "ok"]
    assert runs.arms(store, two.run_id)[1].reason == "CUDA error: out of memory"


def test_common_flags_give_way_to_an_arm_s_own(tmp_path: Path) -> None:
    """`flags.gpu` is below the arm's flags."""
    machine = Machine()
    executed(tmp_path, machine, seconds=1000)
    assert machine.flags["a"] == {"seed": 0, "max-model-len": 9}
    assert machine.flags["b"] == {"seed": 1, "max-model-len": 9}


def test_time_and_energy_of_a_block_are_those_of_its_calls(tmp_path: Path, store: Store) -> None:
    """Eight calls of one second at 700 W; the canary is outside."""
    one, _ = import_results(store, executed(tmp_path, Machine(), seconds=1000))
    (row,) = [arm for arm in runs.arms(store, one.run_id) if arm.arm == "a"]
    record = arm_record.decode(row)
    assert record is not None
    assert [block.energy_j for block in record.blocks] == [8 * 700.0] * 4


def test_a_call_that_is_recorded_again_is_counted_once(tmp_path: Path, store: Store) -> None:
    """As when the steps of its block have been shared: the last record counts."""
    recording = FileRecording(tmp_path / "results")
    recording.add_run(Run("r", "made", "plan", 0))
    record = arm_record.encode(replace(RECORD, blocks=(BlockRecord(0, 0),)))
    recording.put_arm(Arm("r", "a", 0, "vllm", "{}", record))
    measured = call("s", 0, 0)
    recording.add_calls([measured])
    recording.add_calls([replace(measured, prefill_gpu_s=0.5, decode_gpu_s=0.25)])
    recording.add("end", {"status": "finished", "detail": None, "seconds": 1.0})
    recording.close()
    (found,) = import_results(store, tmp_path / "results")
    assert (found.calls, found.cut_calls) == (1, 0)
    rows = runs.measured(store, "r")
    assert rows.select("prefill_gpu_s", "decode_gpu_s").rows() == [(0.5, 0.25)]

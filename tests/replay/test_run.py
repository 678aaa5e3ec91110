"""A run: turns, blocks, arms that cannot run, interruption, and the simulator end to end."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from phasewise_replay.engine import (
    Answer,
    Engine,
    PhaseSeconds,
    Received,
    Request,
    Resolved,
    Unmeasured,
)
from phasewise_replay.engines.fake import FakeChannel, FakeEngine, usual_answer
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import Arm, UrlArm
from phasewise_replay.plans.plan import Plan, control_half
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.records import arm_record
from phasewise_replay.runs.run import resume, run
from phasewise_replay.sessions import sessions
from phasewise_replay.verdicts.compare import compare
from phasewise_store import runs
from phasewise_store.errors import EngineError, UnsupportedArmError, UsageError
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions, write_sub_agents

SIMULATED = """
name: made
sessions: {source: recorded}
arms:
  - {name: off, engine: simulated, gpu: h100-sxm, model: qwen3-8b, presets: [prefix-caching-off]}
  - {name: on, engine: simulated, gpu: h100-sxm, model: qwen3-8b, presets: [prefix-caching-on]}
"""


def plan_of(*names: str, **changes: object) -> Plan:
    """Make a plan of arms that a test serves itself."""
    arms = tuple(UrlArm(name, "http://unused") for name in names)
    return Plan("made", arms, **changes)  # type: ignore[arg-type]  # fields of Plan


def served_by(engines: Mapping[str, FakeEngine]) -> Callable[[Arm], Engine]:
    """Give each arm its fake."""
    return lambda arm: engines[arm.name]


def test_turns_go_there_and_back_and_the_baseline_twice_at_each_end() -> None:
    """Baseline, arms, arms backwards, baseline: a drift falls on all alike."""
    turns = [(arm.name, block) for arm, block in plan_of("a", "b", "c").turns()]
    assert turns == [
        *(("a", 0), ("a", 1), ("b", 0), ("c", 0)),
        *(("c", 1), ("b", 1), ("a", 2), ("a", 3)),
    ]
    assert [control_half(block) for block in range(4)] == [0, 1, 1, 0]


def test_the_order_once_starts_each_other_arm_once() -> None:
    """Two blocks in a row for every arm, and the baseline at both ends, so it has its control."""
    visits = [(arm.name, blocks) for arm, blocks in plan_of("a", "b", "c", order="once").visits()]
    assert visits == [("a", [0, 1]), ("b", [0, 1]), ("c", [0, 1]), ("a", [2, 3])]
    back = plan_of("a", "b", "c")
    assert [arm.name for arm, _ in back.visits()] == ["a", "b", "c", "b", "a"]


def test_every_call_of_every_block_is_stored(store: Store) -> None:
    """Six sessions of four calls: 24 rows a block, in the session's order."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    run_id = run(store, plan_of("a", "b"), engine_for=served_by(engines))
    rows = runs.measured(store, run_id)
    assert rows.group_by("arm", "block").len().sort("arm", "block").rows() == [
        *(("a", block, 24) for block in range(4)),
        *(("b", block, 24) for block in range(2)),
    ]
    assert runs.run(store, run_id).status == "finished"
    assert engines["a"].stopped
    one = rows.filter((rows["arm"] == "a") & (rows["block"] == 0) & (rows["session_id"] == "s1"))
    assert one["step"].to_list() == [0, 1, 2, 3]


def test_history_is_sent_as_recorded_and_length_is_forced(store: Store) -> None:
    """The very bytes of every message, and the recorded number of output tokens."""
    write_sessions(store, sessions=1)
    engine = FakeEngine()
    run(store, plan_of("a", warmup_calls=0), engine_for=served_by({"a": engine}))
    sent = next(one for one in engine.requests if one.call_id == "s0.1")
    assert sent.messages[1].startswith(b'{"role":"user","content":"s0q0 ')
    assert sent.messages[2] == b'{"role":"assistant","content":"answer 0"}'
    assert sent.output_tokens == 20


class MeetingEngine(FakeEngine):
    """Answers the first calls of the sub-agents once both are in flight."""

    def channel(self) -> FakeChannel:
        """Return a channel on which they meet."""
        return MeetingChannel(self.send)


class MeetingChannel(FakeChannel):
    """Waits until both calls are in flight."""

    async def open(self, connections: int) -> None:
        """Get ready for them to meet."""
        self.both = asyncio.Barrier(2)

    async def send(self, request: Request) -> Received:
        """Wait for the other one, where there is one."""
        if request.call_id.endswith(("a0", "b0")):
            await asyncio.wait_for(self.both.wait(), 10)
        return await super().send(request)


def test_sub_agents_run_side_by_side_and_no_call_is_sent_before_what_it_waits_for(
    store: Store,
) -> None:
    """Read from the measured calls of every block; sub-agents meet at a barrier in flight."""
    write_sub_agents(store)
    recorded = sessions.load(store, SessionChoice())
    assert {step.call_id: step.after for step in recorded.sessions[0].steps} == {
        "s0.p0": (),
        "s0.a0": ("s0.p0",),
        "s0.b0": ("s0.p0",),
        "s0.a1": ("s0.a0",),
        "s0.p1": ("s0.p0", "s0.a1", "s0.b0"),
    }
    engines = {"a": MeetingEngine(), "b": MeetingEngine()}
    run_id = run(store, plan_of("a", "b", warmup_calls=0), engine_for=served_by(engines))
    rows = runs.measured(store, run_id)
    assert rows.height == 6 * 30
    for block in rows.partition_by("arm", "block"):
        by_call = {row["call_id"]: row for row in block.iter_rows(named=True)}
        for step in (step for session in recorded.sessions for step in session.steps):
            for before in (by_call[call_id] for call_id in step.after or ()):
                ended_ns = before["sent_ns"] + before["duration_ns"]
                assert ended_ns <= by_call[step.call_id]["sent_ns"]


def test_an_arm_that_cannot_run_is_unsupported_with_the_engine_s_reason(store: Store) -> None:
    """The other arms run; the reason stands in the verdict."""
    write_sessions(store)
    reason = "FP8 KV cache on CPU requires x86 with AVX-512 or AMX."
    engines = {
        "a": FakeEngine(),
        "b": FakeEngine(refuses=UnsupportedArmError(reason)),
        "c": FakeEngine(),
    }
    verdict = compare(store, run(store, plan_of("a", "b", "c"), engine_for=served_by(engines)))
    assert [arm.status for arm in verdict.arms] == ["ok", "unsupported", "ok"]
    assert verdict.arms[1].reason == reason
    assert verdict.fidelity.passed
    assert {metric.compared for metric in verdict.metrics} == {"c"}


def test_an_engine_that_dies_fails_its_arm_only(store: Store) -> None:
    """What it measured before is kept, the run goes on."""
    write_sessions(store)

    def dies(request: Request) -> Answer:
        if request.call_id == "s2.0":
            raise EngineError("vLLM ended: out of memory")
        return usual_answer(request)

    engines = {"a": FakeEngine(), "b": FakeEngine(answer=dies)}
    run_id = run(store, plan_of("a", "b"), engine_for=served_by(engines))
    states = {arm.arm: (arm.status, arm.reason) for arm in runs.arms(store, run_id)}
    assert states == {"a": ("ok", None), "b": ("failed", "vLLM ended: out of memory")}
    assert engines["b"].stopped


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_ctrl_c_keeps_what_was_measured_and_stops_the_engine(
    store: Store, error: BaseException
) -> None:
    """The run is marked interrupted, its rows are there, nothing runs on.

    The second error is DuckDB's, where Ctrl-C comes in the middle of a statement.
    """
    write_sessions(store)

    def interrupts(request: Request) -> Answer:
        if request.call_id == "s3.2":
            raise error
        return usual_answer(request)

    engine = FakeEngine(answer=interrupts)
    with pytest.raises(type(error)):
        run(store, plan_of("a", warmup_calls=0), engine_for=served_by({"a": engine}))
    (found,) = runs.runs(store)
    assert found.status == "interrupted"
    assert runs.measured(store, found.run_id).height == 14
    assert engine.stopped
    assert not compare(store, found.run_id).fidelity.passed


class SteppingEngine(FakeEngine):
    """Logs its steps: 1 ms of prefill and 2 of decode for each call, on two ranks."""

    def __init__(self, steps: PhaseSeconds | Unmeasured | None = None) -> None:
        settings = {"parallel_config.tensor_parallel_size": 2}
        super().__init__(Resolved("fake", "fake-model", "measured", settings=settings))
        self._steps = steps
        self._watched = 0

    def send(self, request: Request) -> Answer:
        """Answer under a name."""
        return replace(super().send(request), response_id=f"cmpl-{request.call_id}")

    def watch_steps(self) -> None:
        """Note where the block begins."""
        self._watched = len(self.requests)

    def watched_steps(self) -> PhaseSeconds | Unmeasured:
        """Share the steps of the block's calls."""
        calls = {f"cmpl-{one.call_id}": (0.001, 0.002) for one in self.requests[self._watched :]}
        shared = PhaseSeconds(0.024, 0.048, prefill_band_s=(0.02, 0.03), steps=99, mixed=9)
        return self._steps or replace(shared, calls=calls)


def test_calls_get_their_parts_of_steps_that_the_engine_logged(store: Store) -> None:
    """GPU-seconds, so twice the seconds on two ranks; the block keeps the sums and the band."""
    write_sessions(store)
    run_id = run(store, plan_of("a"), engine_for=served_by({"a": SteppingEngine()}))
    rows = runs.measured(store, run_id)
    assert rows["prefill_gpu_s"].to_list() == [0.002] * 96
    assert rows["decode_gpu_s"].to_list() == [0.004] * 96
    record = arm_record.decode(runs.arms(store, run_id)[0])
    assert record is not None
    block = record.blocks[0]
    assert (block.prefill_steps_s, block.decode_steps_s) == (0.024, 0.048)
    assert (block.prefill_steps_low_s, block.prefill_steps_high_s) == (0.02, 0.03)
    assert (block.steps, block.mixed_steps, block.steps_unmeasured) == (99, 9, None)


@pytest.mark.parametrize(
    ("told", "stored"), [((None, None), (3 * 10**6, 7 * 10**6)), ((5, 9), (5, 9))]
)
def test_phases_that_no_response_tells_are_those_of_the_engine_s_log(
    store: Store, told: tuple[int | None, int | None], stored: tuple[int, int]
) -> None:
    """Those that a response tells stay."""
    write_sessions(store)
    own_s = {f"cmpl-s{session}.{step}": (0.003, 0.007) for session in range(6) for step in range(4)}

    class Silent(SteppingEngine):
        def send(self, request: Request) -> Answer:
            prefill_ns, decode_ns = told
            return replace(super().send(request), prefill_ns=prefill_ns, decode_ns=decode_ns)

        def watched_steps(self) -> PhaseSeconds:
            steps = super().watched_steps()
            assert isinstance(steps, PhaseSeconds)
            return replace(steps, own_s=own_s)

    run_id = run(store, plan_of("a"), engine_for=served_by({"a": Silent()}))
    rows = runs.measured(store, run_id)
    assert set(rows.select("prefill_ns", "decode_ns").iter_rows()) == {stored}


def test_an_engine_that_does_not_know_its_steps_says_why(store: Store) -> None:
    """The block has the reason and no times."""
    write_sessions(store)
    engine = SteppingEngine(Unmeasured("not loaded"))
    run_id = run(store, plan_of("a"), engine_for=served_by({"a": engine}))
    record = arm_record.decode(runs.arms(store, run_id)[0])
    assert record is not None
    assert {one.steps_unmeasured for one in record.blocks} == {"not loaded"}
    assert {one.prefill_steps_s for one in record.blocks} == {None}


def test_a_warm_cache_voids_the_block(store: Store) -> None:
    """An engine whose reset does nothing is found out by the canary; the run is void."""
    write_sessions(store)

    def warm(request: Request) -> Answer:
        return replace(
            usual_answer(request), cached_tokens=64 if request.call_id == "canary" else 0
        )

    run_id = run(store, plan_of("a"), engine_for=served_by({"a": FakeEngine(answer=warm)}))
    assert not runs.measured(store, run_id).height
    verdict = compare(store, run_id)
    assert not verdict.fidelity.passed
    record = arm_record.decode(runs.arms(store, run_id)[0])
    assert record is not None
    assert "canary" in (record.blocks[0].void or "")


def test_the_simulator_proves_what_caching_saves(store: Store) -> None:
    """Off against on: prefill lower, decode the same, the control exactly zero."""
    write_sessions(store)
    verdict = compare(store, run(store, plan_file.parse(SIMULATED, "made")))
    by_name = {metric.name: metric for metric in verdict.metrics}
    assert verdict.fidelity.passed
    assert by_name["prefill_s"].verdict == "lower"
    assert by_name["decode_s"].verdict == "no significant difference"
    assert by_name["cached_share"].arm > 0.5
    assert all(metric.difference == 0 for metric in verdict.control.metrics)
    assert "simulated" in verdict.headline
    assert verdict.changed == {"on": {"prefix_caching": (False, True)}}


def test_the_simulator_refuses_what_it_cannot_know(store: Store) -> None:
    """A speculation preset makes its arm unsupported, an unknown GPU ends the run."""
    write_sessions(store)
    text = SIMULATED.replace("prefix-caching-on", "ngram-speculation")
    verdict = compare(store, run(store, plan_file.parse(text, "made")))
    assert verdict.arms[1].status == "unsupported"
    with pytest.raises(UsageError, match="h200-sxm"):
        run(store, plan_file.parse(SIMULATED.replace("h100-sxm", "abacus"), "made"))


def test_nothing_to_replay_says_what_there_is(store: Store) -> None:
    """An empty store, and a source that is not there."""
    with pytest.raises(UsageError, match="phasewise import"):
        run(store, plan_file.parse(SIMULATED, "made"))
    write_sessions(store)
    with pytest.raises(UsageError, match="`recorded`"):
        run(store, plan_file.parse(SIMULATED.replace("recorded", "nothing"), "made"))


def test_sessions_longer_than_the_context_are_named_in_the_void(store: Store) -> None:
    """Not one call fits: the block says which context, and proves nothing."""
    write_sessions(store, sessions=1)
    small = Resolved("fake", "m", "measured", reads="token_ids", max_model_tokens=10)
    run_id = run(store, plan_of("a"), engine_for=served_by({"a": FakeEngine(small)}))
    check = next(one for one in compare(store, run_id).fidelity.checks if one.name == "cold_canary")
    assert not check.passed
    assert "a, block 0: no call fits the model's context of 10 tokens" in check.detail


def test_a_stored_run_holds_no_words_of_its_verdict(store: Store) -> None:
    """Verdicts are made when they are shown, so runs of older versions use today's words."""
    write_sessions(store)
    run_id = run(store, plan_file.parse(SIMULATED, "made"))
    stored = " ".join(map(str, [runs.run(store, run_id), *runs.arms(store, run_id)]))
    assert "difference" not in stored
    verdicts = {metric.verdict for metric in compare(store, run_id).metrics}
    assert verdicts == {"lower", "higher", "no significant difference"}


def dying_at(call_id: str, block: int, error: BaseException) -> Callable[[Request], Answer]:
    """Answer as usual until the call comes for the so many-th time."""
    seen = 0

    def answer(request: Request) -> Answer:
        nonlocal seen
        if request.call_id == call_id:
            seen += 1
            if seen == block + 1:
                raise error
        return usual_answer(request)

    return answer


@pytest.mark.parametrize(("arm", "block"), [("a", 1), ("b", 0), ("b", 1), ("a", 2)], ids=str)
def test_a_resumed_run_is_as_one_that_was_never_interrupted(
    store: Store, arm: str, block: int
) -> None:
    """Wherever it ended: the same calls, each once, and the same verdict, under the same id."""
    write_sessions(store)
    plan = plan_of("a", "b", warmup_calls=0)
    whole = run(store, plan, engine_for=served_by({"a": FakeEngine(), "b": FakeEngine()}))
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    engines[arm] = FakeEngine(answer=dying_at("s3.2", block, KeyboardInterrupt()))
    named = replace(plan, name="cut")
    with pytest.raises(KeyboardInterrupt):
        run(store, named, engine_for=served_by(engines))
    write_sessions(store, sessions=8)  # what is recorded meanwhile is not replayed
    cut_id = runs.run(store, "latest").run_id
    resumed = resume(store, named, engine_for=served_by({"a": FakeEngine(), "b": FakeEngine()}))
    assert resumed == cut_id
    keys = ["arm", "block", "session_id", "step", "call_id"]
    one, two = (runs.measured(store, run_id).select(keys) for run_id in (whole, resumed))
    assert one.sort(keys).equals(two.sort(keys))
    before, after = compare(store, whole), compare(store, resumed)
    assert after.status == "finished"
    assert after.fidelity.passed
    assert [metric.verdict for metric in before.metrics] == [
        metric.verdict for metric in after.metrics
    ]


def test_an_arm_whose_engine_died_is_continued(store: Store) -> None:
    """The run had finished without it; its complete blocks stay, and the others' are not rerun."""
    write_sessions(store)
    plan = plan_of("a", "b", warmup_calls=0)
    dies = FakeEngine(answer=dying_at("s2.0", 1, EngineError("vLLM exited: out of memory")))
    first = run(store, plan, engine_for=served_by({"a": FakeEngine(), "b": dies}))
    assert [arm.status for arm in compare(store, first).arms] == ["ok", "failed"]
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    assert resume(store, plan, engine_for=served_by(engines)) == first
    assert engines["a"].requests == []
    verdict = compare(store, first)
    assert verdict.fidelity.passed
    assert [arm.status for arm in verdict.arms] == ["ok", "ok"]
    assert runs.measured(store, first).height == 6 * 24


def test_resuming_a_finished_run_starts_a_new_one(store: Store) -> None:
    """And so does resuming another plan."""
    write_sessions(store)
    plan = plan_of("a", warmup_calls=0)
    first = run(store, plan, engine_for=served_by({"a": FakeEngine()}))
    second = resume(store, plan, engine_for=served_by({"a": FakeEngine()}))
    assert first != second
    with pytest.raises(KeyboardInterrupt):
        engine = FakeEngine(answer=dying_at("s1.1", 0, KeyboardInterrupt()))
        run(store, plan, engine_for=served_by({"a": engine}))
    other = replace(plan, repeats=2)
    assert resume(store, other, engine_for=served_by({"a": FakeEngine()})) not in (first, second)

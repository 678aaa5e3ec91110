"""Sessions that start in the middle: what fills the cache, and what is measured."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.driving.due import Due
from phasewise_replay.driving.warm_first import warm_first
from phasewise_replay.engine import Answer, Request
from phasewise_replay.engines.fake import FakeEngine, usual_answer
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import UrlArm
from phasewise_replay.plans.plan import Plan, WarmStart
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.runs.run import resume, run
from phasewise_replay.sessions.recorded import Recorded, RecordedSession, RecordedStep
from phasewise_replay.sessions.warm_start import start_late
from phasewise_replay.verdicts.compare import compare
from phasewise_reports.run_report import render_html, render_markdown
from phasewise_store import runs
from phasewise_store.errors import UsageError
from phasewise_store.segments import block_segment
from phasewise_store.store import Store
from phasewise_web.cli.compare import print_verdict

from tests.replay.recorded import write_sessions, write_sub_agents

PLAN = Plan("made", (UrlArm("off", "http://unused"),), warmup_calls=0, warm_start=0.5)
SIMULATED = """
name: made
sessions: {source: recorded}
warm_start: 2
concurrency: 2
arms:
  - {name: off, engine: simulated, gpu: h100-sxm, model: qwen3-8b, presets: [prefix-caching-off]}
  - {name: on, engine: simulated, gpu: h100-sxm, model: qwen3-8b}
"""


def step(call_id: str, blocks: Sequence[int], after: tuple[str, ...] | None) -> RecordedStep:
    """Make a call whose prompt is made of these blocks."""
    prompt = tuple(block_segment(b"", number, 64) for number in blocks)
    return RecordedStep(call_id, 0, prompt, 20, 10**9, after)


# a parent whose history is compacted at p2, and a sub-agent beside it
SESSION = RecordedSession(
    "s",
    (
        step("p0", [1], ()),
        step("p1", [1, 2], ("p0",)),
        step("c0", [9], ("p1",)),
        step("c1", [9, 10], ("c0",)),
        step("p2", [1, 5], ("p1",)),
        step("p3", [1, 5, 6], ("p2", "c1")),
        step("c2", [9, 10, 11], ("c1",)),
    ),
)


def started(start: WarmStart, *sessions: RecordedSession, seed: int = 0) -> Recorded:
    """Start sessions late."""
    return start_late(Recorded(sessions, 0), start, seed)


def test_the_end_of_each_history_fills_the_cache_and_the_rest_is_measured() -> None:
    """One token each, one after another; what waited for an unmeasured call waits for the last."""
    (found,) = started(5, SESSION).sessions
    assert [(one.call_id, one.warm, one.output_tokens, one.after) for one in found.steps] == [
        ("p1", True, 1, ()),
        ("c1", True, 1, ("p1",)),
        ("p2", True, 1, ("c1",)),
        ("p3", False, 20, ("p2",)),
        ("c2", False, 20, ("p2",)),
    ]
    assert [one.wait_ns for one in found.steps] == [0, 0, 0, 10**9, 10**9]


def test_of_equal_prompts_one_fills_the_cache() -> None:
    """A call that was tried again."""
    again = RecordedSession(
        "s", (step("a", [1], ()), step("b", [1], ("a",)), step("c", [1, 2], None))
    )
    (found,) = started(2, again).sessions
    assert [(one.call_id, one.warm, one.after) for one in found.steps] == [
        ("b", True, ()),
        ("c", False, ("b",)),
    ]


@given(st.integers(1, 12), st.one_of(st.floats(0.01, 0.99), st.integers(1, 12), st.just("random")))
def test_every_call_is_measured_or_lies_before_the_start(calls: int, start: WarmStart) -> None:
    """A share leaves one call at least; a session with no call after the start is left out."""
    chain = RecordedSession("s", tuple(step(f"{n}", range(n + 1), None) for n in range(calls)))
    found = started(start, chain, seed=calls)
    late = [one.call_id for session in found.sessions for one in session.steps if not one.warm]
    assert late == [f"{n}" for n in range(calls - len(late), calls)]
    if not isinstance(start, float):
        assert start == "random" or len(late) == max(0, calls - start)
    assert isinstance(start, int) or late
    warm = [one.call_id for session in found.sessions for one in session.steps if one.warm]
    assert warm == ([f"{calls - len(late) - 1}"] if 0 < len(late) < calls else [])


def test_the_first_sessions_fill_the_cache_before_anything_is_measured() -> None:
    """Those that begin at once; a later one fills it in its own turn."""

    def due(name: str, *, warm: bool, after: tuple[int, ...]) -> Due:
        return Due(Request(name, "s", name, 0, 1, warm=warm), 0, after)

    one = [due("w", warm=True, after=()), due("m", warm=False, after=(0,))]
    one.append(due("n", warm=False, after=(0, 1)))
    filling, left = warm_first([[], one, one], 1)
    assert [[call.request.call_id for call in part] for part in filling] == [["w"]]
    assert [[(call.request.call_id, call.after) for call in part] for part in left] == [
        [("m", ()), ("n", (0,))],
        [("w", ()), ("m", (0,)), ("n", (0, 1))],
    ]


def test_only_late_calls_are_measured_and_the_cache_is_filled_before(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four calls per session: the second fills the cache with one token, two are measured."""
    write_sessions(store)
    engine = FakeEngine()
    run_id = run(store, PLAN, engine_for=lambda arm: engine)
    block = [one for one in engine.requests if one.call_id != "canary"][:18]
    assert [one.call_id for one in block if one.session_id == "s4"] == ["s4.1", "s4.2", "s4.3"]
    assert [one.output_tokens for one in block if one.session_id == "s4"] == [1, 20, 20]
    assert runs.sent(store, run_id).height == 4 * 18
    assert runs.measured(store, run_id)["step"].unique().sort().to_list() == [2, 3]
    verdict = compare(store, run_id)
    assert verdict.calls == 12
    assert verdict.fidelity.passed
    assert "warm_start" in {check.name for check in verdict.fidelity.checks}
    words = (
        "sessions start after 50% of their calls: 6 of the 12 calls before fill the cache, "
        "unmeasured"
    )
    assert verdict.selections[0].started_in_words == words
    print_verdict(verdict)
    for text in (capsys.readouterr().out, render_html(verdict), render_markdown(verdict)):
        assert words in text


def test_a_cache_that_could_not_be_filled_voids_the_run(store: Store) -> None:
    """A session would then be measured cold."""
    write_sessions(store)

    def refuses(request: Request) -> Answer:
        answer = usual_answer(request)
        return replace(answer, error="too long") if request.warm else answer

    engine = FakeEngine(answer=refuses)
    verdict = compare(store, run(store, PLAN, engine_for=lambda arm: engine))
    assert not verdict.fidelity.passed
    assert verdict.headline.startswith(
        "Void: calls that fill the cache before a session and failed"
    )


def test_a_late_start_measures_a_warm_cache_in_the_simulator(store: Store) -> None:
    """Every call finds in the cache what it would find in a replay from the start.

    Filling the cache is engine time of no session.
    """
    write_sessions(store)
    late = compare(store, run(store, plan_file.parse(SIMULATED, "made")))
    rows = runs.measured(store, late.run_id).filter(pl.col("arm") == "on")
    first = rows.filter(pl.col("step") == 2)
    assert first.select((pl.col("cached_tokens") / pl.col("input_tokens")).min()).item() > 0.7
    whole_plan = plan_file.parse(SIMULATED.replace("warm_start: 2", "warmup_calls: 0"), "made")
    whole = runs.measured(store, run(store, whole_plan)).filter(pl.col("arm") == "on")
    same = rows.join(whole, on=["block", "call_id"], how="inner")
    assert same.height == rows.height
    assert same["cached_tokens"].equals(same["cached_tokens_right"])
    for time in late.engine_time:
        assert time.filling_s > 0
        share = (time.prefill_s + time.decode_s + time.filling_s) * 6
        busy_s = share / (1 - (time.idle_share or 0))
        block = runs.sent(store, late.run_id).filter(
            (pl.col("arm") == time.arm) & (pl.col("block") == 0)
        )
        wall_ns = block.select(
            (pl.col("sent_ns") + pl.col("duration_ns")).max() - pl.col("sent_ns").min()
        ).item()
        assert busy_s == pytest.approx(wall_ns / 1e9, rel=1e-6)


def test_sub_agents_in_progress_go_on_side_by_side(store: Store) -> None:
    """After three calls: those of a parent and of both sub-agents fill the cache."""
    write_sub_agents(store)
    engine = FakeEngine()
    run(store, replace(PLAN, warm_start=3), engine_for=lambda arm: engine)
    sent = [one for one in engine.requests if one.session_id == "s1" and one.call_id != "canary"]
    assert [(one.call_id, one.warm) for one in sent[:5]] == [
        *(("s1.p0", True), ("s1.a0", True), ("s1.b0", True)),
        *(("s1.a1", False), ("s1.p1", False)),
    ]


def test_a_resumed_run_starts_where_it_started(store: Store) -> None:
    """Also when the sessions have grown since, so that half of them is more."""
    write_sessions(store)

    def cut(request: Request) -> Answer:
        if request.call_id == "s5.3" and len(first.requests) > 20:
            raise KeyboardInterrupt
        return usual_answer(request)

    first = FakeEngine(answer=cut)
    with pytest.raises(KeyboardInterrupt):
        run(store, PLAN, engine_for=lambda arm: first)
    write_sessions(store, steps=8)
    second = FakeEngine()
    run_id = resume(store, PLAN, engine_for=lambda arm: second)
    rows = runs.sent(store, run_id)
    keys = ["session_id", "step", "warm", "planned_output_tokens"]
    blocks = [block.select(keys).sort(keys).rows() for block in rows.partition_by("block")]
    assert len(blocks) == 4
    assert all(block == blocks[0] for block in blocks)
    assert compare(store, run_id).fidelity.passed


def test_sessions_that_are_too_short_are_left_out_and_counted(store: Store) -> None:
    """And a plan of which none is left says so."""
    write_sessions(store, sessions=2, steps=4)
    with pytest.raises(UsageError, match="no session has a call after the first 4"):
        run(store, replace(PLAN, warm_start=4), engine_for=lambda arm: FakeEngine())
    short = started(3, SESSION, replace(SESSION, session_id="t", steps=SESSION.steps[:2]))
    assert [one.session_id for one in short.sessions] == ["s"]


def test_a_plan_says_where_sessions_start() -> None:
    """A share, a number of calls, or random; nothing else."""
    for value, start in (("0.25", 0.25), ("12", 12), ("random", "random")):
        text = SIMULATED.replace("warm_start: 2", f"warm_start: {value}")
        assert plan_file.parse(text, "plan").warm_start == start
    for wrong in ("1.5", "0", "-1", "late"):
        with pytest.raises(UsageError, match=r"`warm_start` must be a share of a session's calls"):
            plan_file.parse(SIMULATED.replace("warm_start: 2", f"warm_start: {wrong}"), "plan")
    assert SessionChoice().seed == 0

"""How well an arm served: goodput, throughput, hit rates, critical paths, dollars."""

from collections.abc import Mapping
from dataclasses import asdict, replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.records.arm_record import ArmRecord, BlockRecord
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts import critical_path, service
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.critical_path import PathCall
from phasewise_replay.verdicts.service_facts import ArmService, CriticalPath
from phasewise_reports.run_report import render_html, render_markdown
from phasewise_store import runs
from phasewise_store.errors import UsageError
from phasewise_store.run_facts import MeasuredCall
from phasewise_store.store import Store
from phasewise_web.cli.compare import print_verdict
from polars import selectors

from tests.replay.recorded import write_sessions, write_sub_agents

MS = 10**6
RECORD = ArmRecord(
    "vllm",
    "m",
    "measured",
    blocks=(
        BlockRecord(0, 0, preemptions=2, kv_use_mean=0.2, kv_use_peak=0.5),
        BlockRecord(1, 0, preemptions=5, kv_use_mean=0.4, kv_use_peak=0.9),
        BlockRecord(2, 0, drafts=10, drafted_tokens=30, accepted_tokens=18),
        BlockRecord(3, 0, drafts=2, drafted_tokens=6, accepted_tokens=0),
        BlockRecord(4, 0, void="void", drafts=100, drafted_tokens=100, accepted_tokens=100),
    ),
)
SIMULATED = """
name: made
sessions: {source: recorded}
concurrency: 3
tool_time: recorded
slo: {ttft_s: 2, tpot_ms: 50}
gpu_price_per_hour: 3.6
arms:
  - {name: off, engine: simulated, gpu: h100-sxm, model: qwen3-8b, presets: [prefix-caching-off]}
  - {name: on, engine: simulated, gpu: h100-sxm, model: qwen3-8b}
"""


def call(name: str, sent_ms: int, waited_for: str | None = None, **changes: object) -> MeasuredCall:
    """Make a call of a second: 100 ms of queue, 500 to its first token, ten more of 50 ms."""
    made = MeasuredCall(
        "r",
        "a",
        0,
        name.partition(".")[0],
        name,
        0,
        sent_ns=sent_ms * MS,
        lag_ns=0,
        planned_output_tokens=11,
        basis="measured",
        ttft_ns=500 * MS,
        duration_ns=1000 * MS,
        queue_ns=100 * MS,
        input_tokens=1000,
        cached_tokens=0,
        output_tokens=11,
        waited_for=waited_for,
        reachable_tokens=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of MeasuredCall


def served(
    *calls: MeasuredCall, slo: Slo | None = None, agents: Mapping[str, str] | None = None
) -> ArmService:
    """Return how an arm served these calls."""
    frame = pl.DataFrame([asdict(one) for one in calls], infer_schema_length=None)
    frame = frame.with_columns(selectors.by_dtype(pl.Null).cast(pl.Int64))
    found = service.of_arm("a", RECORD, frame, agents or {}, None, slo=slo)
    assert found is not None
    return found


def parts(path: CriticalPath | None) -> tuple[float, float, float]:
    """Return the parts of a path: model, queue, tools."""
    assert path is not None
    return path.model_s, path.queue_s, path.tool_s


def test_throughput_counts_the_time_in_which_a_session_was_measured() -> None:
    """Sessions side by side count once, a gap between them not at all, tool time in them does."""
    found = served(call("s.0", 0), call("s.1", 3000, "s.0"), call("t.0", 2000), call("u.0", 9000))
    assert found.measured_s == 5
    assert found.sessions_hour == 3 / 5 * 3600
    assert (found.calls_s, found.output_tokens_s) == (4 / 5, 44 / 5)
    assert found.calls == 4 / 3
    assert found.completion_s == 2
    assert [(one.session_id, one.completion_s) for one in found.sessions] == [
        *(("s", 4.0), ("t", 1.0), ("u", 1.0)),
    ]


@pytest.mark.parametrize(
    ("slo", "good", "words"),
    [
        (Slo(ttft=0.5), 3, "time to first token 0.5 s"),
        (Slo(ttft=0.4), 1, "time to first token 0.4 s"),
        (Slo(tpot=0.05), 3, "time per output token 50 ms"),
        (Slo(tpot=0.04), 1, "time per output token 40 ms"),
        (Slo(latency=0.9), 0, "whole call 0.9 s"),
        (Slo(ttft=0.5, latency=1), 3, "time to first token 0.5 s, whole call 1 s"),
    ],
)
def test_a_call_is_good_when_it_meets_every_limit(slo: Slo, good: int, words: str) -> None:
    """The limit itself is met; a failed call is not; one output token has no time per token."""
    found = served(
        call("s.0", 0),
        call("s.1", 1000, "s.0"),
        call("t.0", 2000, ttft_ns=300 * MS, output_tokens=1),
        call("t.1", 3000, "t.0", error="refused", ttft_ns=None),
        slo=slo,
    ).goodput
    assert found is not None
    assert (found.limits, found.share, found.calls_s) == (words, good / 4, good / 3)
    assert found.sessions_share == (0.5 if good == 3 else 0)


def test_the_engine_s_own_decode_time_counts_where_there_is_one() -> None:
    """The client's may hold tokens back: 40 ms per token instead of 50."""
    own = served(call("s.0", 0, decode_ns=400 * MS), slo=Slo(tpot=0.045)).goodput
    assert own is not None
    assert own.share == 1


def test_goodput_is_not_known_without_the_times() -> None:
    """An answer without a time to first token cannot be held to a limit on it."""
    assert served(call("s.0", 0, ttft_ns=None), slo=Slo(ttft=1)).goodput is None
    assert served(call("s.0", 0)).goodput is None


def test_hit_rates_in_three_definitions() -> None:
    """300 of 1,100 tokens; 30 % and 0 % of the two calls; 300 of the 600 that could be had."""
    found = served(
        call("s.0", 0, cached_tokens=300, reachable_tokens=600),
        call("s.1", 1000, "s.0", input_tokens=100),
    ).hit_rates
    assert found.by_tokens == pytest.approx(300 / 1100)
    assert found.by_calls == pytest.approx(0.15)
    assert found.reachable == pytest.approx(600 / 1100)
    assert found.of_reachable == pytest.approx(0.5)
    bare = served(call("s.0", 0, cached_tokens=None, reachable_tokens=None)).hit_rates
    assert asdict(bare) == dict.fromkeys(asdict(bare))


def test_preemptions_are_per_block_and_kv_use_is_over_all() -> None:
    """Of an engine that counts them; a simulated one has them by call."""
    found = served(call("s.0", 0))
    assert (found.preemptions, found.kv_use_peak) == (3.5, 0.9)
    assert found.kv_use_mean == pytest.approx(0.3)
    assert found.no_energy == service.NO_POWER


def test_drafts_are_summed_over_blocks() -> None:
    """Eighteen tokens of twelve drafts were accepted, beside the one of each step; void ones no."""
    found = served(call("s.0", 0))
    assert found.acceptance_length == 1 + 18 / 12
    assert found.accepted_share == 18 / 36


def test_the_critical_path_goes_through_what_ended_last() -> None:
    """A parent joins two agents: the slower one is on the path, with its tool time."""
    found = served(
        call("s.p0", 0),
        call("s.a0", 1000, "s.p0"),
        call("s.b0", 1500, "s.p0"),
        call("s.p1", 3000, "s.b0"),
        agents={"s.p0": "p", "s.a0": "a", "s.b0": "b", "s.p1": "p"},
    )
    assert parts(found.path) == pytest.approx((2.7, 0.3, 1.0))
    assert found.completion_s == 4
    by_name = {one.agent: one for one in found.agents}
    assert [one.agent for one in found.agents] == ["p", "b", "a"]
    assert parts(by_name["p"].path) == pytest.approx((1.8, 0.2, 0.5))
    assert parts(by_name["a"].path) == (0, 0, 0)
    assert (by_name["p"].calls, by_name["p"].completion_s) == (2, 4)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90), st.integers(1, 90)), min_size=1))
def test_the_parts_of_a_path_sum_to_the_session_s_time(drawn: list[tuple[int, int, int]]) -> None:
    """Whatever waits for whatever: no part is negative."""
    calls: list[PathCall] = []
    for number, (back, wait, took) in enumerate(drawn):
        before = calls[-back] if 0 < back <= len(calls) else None
        sent = (0 if before is None else before.ended_ns) + wait
        waited_for = None if before is None else before.call_id
        calls.append(PathCall(f"{number}", waited_for, sent, sent + took, took // 3))
    path = critical_path.added([piece.path for piece in critical_path.pieces(calls)])
    time_ns = max(one.ended_ns for one in calls) - min(one.sent_ns for one in calls)
    assert path.total_s == pytest.approx(time_ns / 1e9)
    assert min(path.model_s, path.queue_s, path.tool_s) >= 0


def test_a_run_of_an_older_version_has_no_path() -> None:
    """It does not know what its calls waited for."""
    found = served(call("s.0", 0), call("s.1", 2000))
    assert (found.path, found.sessions[0].path, found.agents[0].path) == (None, None, None)


def test_a_simulated_run_has_all_of_it(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """On the command line, in HTML, Markdown and JSON; dollars are those of the engine's time."""
    write_sessions(store)
    verdict = compare(store, run(store, plan_file.parse(SIMULATED, "made")))
    off, on = verdict.service
    assert off.hit_rates.by_tokens == 0
    assert off.hit_rates.reachable == on.hit_rates.reachable
    assert on.hit_rates.of_reachable == 1
    for one, time in zip(verdict.service, verdict.engine_time, strict=True):
        assert one.path is not None
        assert one.path.total_s == pytest.approx(one.completion_s)
        assert one.usd == pytest.approx((time.prefill_s + time.decode_s) / 1000)
        assert sum(part.usd or 0 for part in one.sessions) == pytest.approx(6 * (one.usd or 0))
        (agent,) = one.agents
        assert (agent.agent, agent.sessions, agent.calls) == ("a", 6, 4)
        assert agent.usd == pytest.approx(one.usd)
        assert one.no_energy == "simulated"
        assert one.goodput is not None
        assert one.goodput.share == 1
        assert one.goodput.calls_s == one.calls_s
    print_verdict(verdict)
    for text in (capsys.readouterr().out, render_html(verdict), render_markdown(verdict)):
        assert "time to first token 2 s, time per output token 50 ms" in text


def test_dollars_of_agents_sum_to_those_of_a_session(store: Store) -> None:
    """Each agent per session that it is in; here all are in all."""
    write_sub_agents(store)
    for one in compare(store, run(store, plan_file.parse(SIMULATED, "made"))).service:
        assert {part.agent for part in one.agents} == {"p", "a", "b"}
        assert sum(part.usd or 0 for part in one.agents) == pytest.approx(one.usd)


@pytest.mark.parametrize("scheduler", ["vllm", "sglang"])
@pytest.mark.parametrize("concurrency", [1, 5])
def test_no_call_finds_more_than_an_endless_cache_has(
    store: Store, scheduler: str, concurrency: int
) -> None:
    """One at a time it is what an engine that never evicts finds; side by side it is the most."""
    write_sessions(store, sessions=5)
    text = SIMULATED.replace("concurrency: 3", f"concurrency: {concurrency}").replace(
        "gpu: h100-sxm", f"scheduler: {scheduler}, gpu: h100-sxm"
    )
    run_id = run(store, plan_file.parse(text, "made"))
    rows = runs.measured(store, run_id).filter(pl.col("arm") == "on")
    assert rows["reachable_tokens"].sum() > 0
    assert rows.filter(pl.col("cached_tokens") > pl.col("reachable_tokens")).height == 0
    if concurrency == 1:
        assert rows["cached_tokens"].equals(rows["reachable_tokens"])


def test_a_plan_s_limits_and_price_are_read_and_written_back() -> None:
    """In the units of their keys; at least one limit, all above zero."""
    plan = plan_file.parse(SIMULATED, "plan")
    assert plan.slo == Slo(ttft=2, tpot=0.05)
    assert plan.gpu_price_per_hour == 3.6
    assert plan_file.parse(as_yaml(plan), "again") == plan
    for wrong, said in (
        ("{}", "`slo` must have at least one of ttft_s, tpot_ms, e2e_s"),
        ("{ttft_s: 0}", "`slo.ttft_s` must be a number above 0"),
        ("{ttft: 2}", "`slo.ttft` is not a known key"),
    ):
        with pytest.raises(UsageError, match=said):
            plan_file.parse(SIMULATED.replace("{ttft_s: 2, tpot_ms: 50}", wrong), "plan")

"""The simulated engine: its cache is the predicted one, its times are the engine model's."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.caches.paged_cache import PagedPrefixCache
from phasewise_analyzer.engine.caches.radix_cache import RadixPrefixCache
from phasewise_analyzer.engine.deployments import calibration
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_replay.engine import Answer, Request, started
from phasewise_replay.engines import simulated_deployment
from phasewise_replay.engines.simulated import SimulatedEngine
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import SimulatedArm, SimulatedOptions
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_store import runs
from phasewise_store.errors import UnsupportedArmError, UsageError
from phasewise_store.store import Store

from tests.analyzer.engine.test_calibration import made
from tests.replay.recorded import (
    write_hashed_sessions,
    write_repeating_sessions,
    write_sessions,
    write_sub_agents,
)


def arm(**options: object) -> SimulatedArm:
    """Return an arm of a small model on one GPU."""
    told = {"gpu": "h100-sxm", "model": "qwen3-8b"} | options
    return SimulatedArm("made", SimulatedOptions(**told))  # type: ignore[arg-type]  # its fields


def request(name: str, prompt: list[int], output_tokens: int) -> Request:
    """Return a request in token ids."""
    return Request(name, "s", name, 0, output_tokens, prompt_token_ids=np.array(prompt, np.int64))


def plan(text: str, *, rest: str = "") -> str:
    """Return a plan of a baseline and an arm."""
    base = "engine: simulated, gpu: h100-sxm, model: qwen3-8b"
    return (
        f"name: made\nsessions: {{source: recorded}}\narms:\n  - {{name: base, {base}}}\n"
        f"  - {{name: other, {base}, {text}}}\n{rest}"
    )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=20), st.integers(1, 9)),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([2, 4]),
    st.integers(15, 40),
)
def test_one_at_a_time_its_cache_is_the_predicted_one(
    calls: list[tuple[list[int], int]], size: int, blocks: int
) -> None:
    """Each call finds what `PagedPrefixCache`, which predicts real vLLM's, says before it."""
    predicted = PagedPrefixCache(blocks, size)
    engine = SimulatedEngine(arm(block_tokens=size, kv_blocks=blocks))
    with started(engine):
        for place, (prompt, outputs) in enumerate(calls):
            asked = request(f"c{place}", prompt, outputs)
            assert asked.prompt_token_ids is not None
            before = predicted.lookup(asked.prompt_token_ids)
            answer = engine.send(asked)
            assert answer.cached_tokens == before
            assert answer.output_token_ids is not None
            predicted.admit(asked.prompt_token_ids, answer.output_token_ids)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=20), st.integers(1, 9)),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([1, 4]),
)
def test_with_sglang_s_scheduler_its_cache_is_the_predicted_tree(
    calls: list[tuple[list[int], int]], page: int
) -> None:
    """Each call finds what `RadixPrefixCache`, which predicts real SGLang's, says before it."""
    predicted = RadixPrefixCache(200, page, chunk_tokens=8192)
    engine = SimulatedEngine(arm(scheduler="sglang", block_tokens=page, kv_blocks=200 // page))
    with started(engine):
        for place, (prompt, outputs) in enumerate(calls):
            asked = request(f"c{place}", prompt, outputs)
            assert asked.prompt_token_ids is not None
            before = predicted.lookup(asked.prompt_token_ids)
            answer = engine.send(asked)
            assert answer.cached_tokens == before
            assert answer.output_token_ids is not None
            predicted.admit(asked.prompt_token_ids, answer.output_token_ids)


def test_the_largest_call_of_sglang_is_served_whole() -> None:
    """A call of as many tokens as the arm says is not cut off."""
    engine = SimulatedEngine(arm(scheduler="sglang", kv_blocks=100))
    with started(engine) as resolved:
        assert resolved.max_model_tokens is not None
        outputs = resolved.max_model_tokens - 60
        assert engine.send(request("c", list(range(60)), outputs)).output_tokens == outputs


def test_a_lone_call_takes_the_time_of_its_steps() -> None:
    """Prefill in chunks, then one step per further token, on the GPU and model of the arm."""
    engine = SimulatedEngine(arm(chunk_tokens=256))
    with started(engine):
        answer = engine.send(request("c", list(range(700)), 5))
    times = simulated_deployment.deployment(arm().options, {}).times
    prefill = sum(
        times.step_s(Batch((Chunk(n, at),))) for n, at in ((256, 0), (256, 256), (188, 512))
    )
    decode = float(times.decode_run_s(Batch(decodes=1, context=701, longest=701), 4).sum())
    assert answer.prefill_ns == pytest.approx(prefill * 1e9, abs=2)
    assert answer.decode_ns == pytest.approx(decode * 1e9, abs=2)
    assert answer.queue_ns == 0


def served(engine: SimulatedEngine, requests: list[Request]) -> list[Answer]:
    """Send all at once and return the answers in the order of the requests."""
    with started(engine):
        for one in requests:
            engine.submit(one, 0)
        found: dict[str, Answer] = {}
        while ended := engine.run():
            found |= {asked.request_id: answer for asked, answer in ended}
    return [found[one.request_id] for one in requests]


def test_calls_in_flight_share_steps() -> None:
    """Two calls at once take longer than one and less than one after the other."""
    both = [request("a", list(range(900)), 50), request("b", list(range(900, 1800)), 50)]
    alone = served(SimulatedEngine(arm()), both[:1])[0].duration_ns
    slowest = max(one.duration_ns for one in served(SimulatedEngine(arm()), both))
    assert alone < slowest < 1.5 * alone


def test_a_limit_of_sequences_makes_calls_wait() -> None:
    """With one sequence at a time the second call queues for as long as the first one takes."""
    both = [request("a", list(range(900)), 50), request("b", list(range(900, 1800)), 50)]
    first, second = served(SimulatedEngine(arm(flags={"max-num-seqs": 1})), both)
    assert second.queue_ns is not None
    assert first.queue_ns == 0
    assert second.queue_ns == pytest.approx(first.duration_ns, rel=0.02)


def test_replicas_have_caches_of_their_own() -> None:
    """Two equal prompts in turn: each of two replicas prefills it, the prefix router does not."""
    prompt = list(range(640))
    cached = {}
    for router in ("round-robin", "prefix-aware"):
        engine = SimulatedEngine(arm(replicas=2, router=router))
        with started(engine) as resolved:
            cached[router] = [
                engine.send(request(f"c{n}", prompt, 4)).cached_tokens for n in (0, 1)
            ]
        assert resolved.settings["simulated_gpus"] == 2
    assert cached == {"round-robin": [0, 0], "prefix-aware": [0, 624]}


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("flags: {tensor-parallel-size: 2}", 2),
        ("presets: [data-parallel-2]", 2),
        ("presets: [fp8-weights, fp8-kv]", 1),
        ("presets: [kv-offload-32]", 1),
        ("replicas: 3, router: least-loaded", 3),
        ("scheduler: sglang, presets: [chunk-2048, fp8-kv], chunk_tokens: 256", 1),
        ("scheduler: sglang, flags: {tp-size: 2, max-running-requests: 2}", 2),
        ("prefill_engines: 1, decode_engines: 2, kv_copy_gb_s: 50", 3),
    ],
)
def test_any_modelled_setting_is_an_arm_at_any_concurrency(
    store: Store, text: str, gpus: int
) -> None:
    """The run is not void: only what the plan changes differs, and every call is served."""
    write_sessions(store)
    verdict = compare(store, run(store, plan_file.parse(plan(text, rest="concurrency: 3"), "made")))
    assert verdict.fidelity.passed, verdict.headline
    assert verdict.engine_time[1].gpus == gpus
    assert verdict.arms[1].step_times is not None
    assert verdict.arms[1].step_times.kind == "roofline"


@pytest.mark.parametrize("text", ["replicas: 2", "prefill_engines: 1, decode_engines: 1"])
def test_engine_time_is_every_call_s_part_of_the_steps(store: Store, text: str) -> None:
    """Sessions' GPU-seconds and the idle time sum to the wall time of both GPUs, in every block."""
    write_sessions(store)
    run_id = run(store, plan_file.parse(plan(text, rest="concurrency: 3"), "made"))
    time = compare(store, run_id).engine_time[1]
    calls = runs.measured(store, run_id).filter(pl.col("arm") == "other")
    block = calls.filter(pl.col("block") == 0)
    wall_ns = (pl.col("sent_ns") + pl.col("duration_ns")).max() - pl.col("sent_ns").min()
    wall_gpu_s = 2 * float(block.select(wall_ns).item()) / 1e9
    busy_gpu_s = float(block["prefill_gpu_s"].sum()) + float(block["decode_gpu_s"].sum())
    assert time.idle_share is not None
    assert busy_gpu_s + time.idle_share * wall_gpu_s == pytest.approx(wall_gpu_s)
    sessions = block["session_id"].n_unique()
    assert time.prefill_s + time.decode_s == pytest.approx(busy_gpu_s / sessions)
    assert 0 < time.idle_share < 1


def test_a_simulated_run_repeats_exactly(store: Store) -> None:
    """Sub-agents in parallel, sessions at once, tool time: two runs have the same times."""
    write_sub_agents(store)
    text = plan("replicas: 2", rest="concurrency: 2\ntool_time: recorded")
    columns = ["arm", "block", "call_id", "ttft_ns", "duration_ns", "cached_tokens", "queue_ns"]
    found = [
        runs.measured(store, run(store, plan_file.parse(text, "made")))
        .select(columns)
        .sort(columns)
        for _ in range(2)
    ]
    assert found[0].equals(found[1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("flags: {pipeline-parallel-size: 2}", "the simulation does not model `pipeline-parallel-"),
        (
            "flags: {kv-offloading-size: 8}, prefill_engines: 1, decode_engines: 1",
            "the simulation does not disaggregate 1 h100-sxm, qwen3-8b",
        ),
        ("presets: [int8-weights]", "unknown weight format `int8_per_channel_weight_only`"),
        ("flags: {num-gpu-blocks-override: 0}", None),
    ],
)
def test_what_is_not_modelled_is_refused_by_name(
    text: str, reason: str | None, store: Store
) -> None:
    """The arm is unsupported with the reason; a value that no engine has ends the run."""
    write_sessions(store)
    parsed = plan_file.parse(plan(text), "made")
    if reason is None:
        with pytest.raises(UsageError, match="positive whole number"):
            run(store, parsed)
        return
    verdict = compare(store, run(store, parsed))
    assert verdict.arms[1].status == "unsupported"
    assert reason in (verdict.arms[1].reason or "")


def test_a_model_that_does_not_fit_is_unsupported() -> None:
    """With the size of its weights and of the GPU."""
    with pytest.raises(UnsupportedArmError, match="does not fit"):
        SimulatedEngine(arm(gpu="l4", model="llama-3.1-70b")).start()


def test_a_calibration_says_what_the_times_stand_on(tmp_path: Path, store: Store) -> None:
    """The arms have the calibrated server's times with the error of the fit, and its limits."""
    write_sessions(store)
    file = tmp_path / "server.json"
    calibration.write(file, made())
    text = f"""
name: made
sessions: {{source: recorded}}
concurrency: 3
arms:
  - {{name: base, engine: simulated, calibration: {file}}}
  - {{name: one, engine: simulated, calibration: {file}, flags: {{max-num-seqs: 1}}}}
"""
    verdict = compare(store, run(store, plan_file.parse(text, "made")))
    assert verdict.fidelity.passed, verdict.headline
    assert [arm.step_times for arm in verdict.arms] == [made().times.basis] * 2
    queued = next(one for one in verdict.metrics if one.name == "queue_ms")
    assert queued.arm > queued.baseline
    assert verdict.engine_time[0].method.startswith("the engine model")


def test_a_speculating_arm_drafts_on_the_recorded_outputs(store: Store) -> None:
    """The preset decodes faster where outputs repeat the prompt, and nothing else has changed."""
    write_repeating_sessions(store, 6)
    text = plan("presets: [ngram-speculation]")
    verdict = compare(store, run(store, plan_file.parse(text, "made")))
    assert [arm.status for arm in verdict.arms] == ["ok", "ok"], verdict.arms
    failed = [check.name for check in verdict.fidelity.checks if not check.passed]
    assert failed == []
    changed = verdict.changed["other"]
    assert changed["speculative_basis"][1] == "computed on estimated tokens (pieces of text)"
    assert changed["async_scheduling"] == (True, False)
    (decode,) = [one for one in verdict.metrics if one.name == "decode_s"]
    assert decode.verdict == "lower"


def test_speculation_is_unsupported_without_recorded_outputs(store: Store) -> None:
    """Away from the store, and for sessions without text, the arm says so and does not run."""
    flags = {"speculative-config": {"method": "ngram", "num_speculative_tokens": 4}}
    with pytest.raises(UnsupportedArmError, match="not at hand here"):
        SimulatedEngine(arm(flags=flags)).start()
    write_hashed_sessions(store)
    text = plan("presets: [ngram-speculation]")
    run_id = run(store, plan_file.parse(text, "made"))
    base, other = runs.arms(store, run_id)
    assert (base.status, other.status) == ("ok", "unsupported")
    assert "has no text" in (other.reason or "")

"""What voids a run: each check fails on just the flaw it is for."""

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
from phasewise_replay.engine import Answer, Request
from phasewise_replay.engines.fake import FakeEngine, usual_answer
from phasewise_replay.records import arm_record
from phasewise_replay.records.arm_record import ArmRecord
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts import confounders
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.fidelity import UNREPORTED
from phasewise_replay.verdicts.load_checks import equal_concurrency
from phasewise_store import runs
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_run import plan_of, served_by

MS = 10**6


def changed(**fields: object) -> Callable[[Request], Answer]:
    """Answer as usual, with some fields changed for one call in three."""

    def answer(request: Request) -> Answer:
        found = usual_answer(request)
        if request.call_id == "canary" or request.step % 3:
            return found
        return replace(found, **fields)  # type: ignore[arg-type]  # fields of Answer

    return answer


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"error": "HTTP 500"}, "errors"),
        ({"output_tokens": 3}, "output_tokens"),
        ({"input_tokens": 101}, "input_tokens"),
    ],
)
def test_a_flaw_fails_its_check_and_voids_every_verdict(
    store: Store, fields: dict[str, object], check: str
) -> None:
    """Errors, answers of another length, prompts of another length."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine(answer=changed(**fields))}
    verdict = compare(store, run(store, plan_of("a", "b"), engine_for=served_by(engines)))
    failed = [one.name for one in verdict.fidelity.checks if not one.passed]
    assert check in failed
    assert {metric.verdict for metric in verdict.metrics} == {"void"}
    assert verdict.headline.startswith("Void")


def altered(store: Store, assignment: str) -> None:
    """Change the measured calls of arm b."""
    with store.transaction() as connection:
        connection.execute(f"UPDATE measured_calls SET {assignment} WHERE arm = 'b'")


def block_altered(store: Store, **fields: object) -> None:
    """Change the first block's record of arm b."""
    (found,) = runs.runs(store)
    arm = runs.arms(store, found.run_id)[1]
    record = arm_record.decode(arm)
    assert record is not None
    first = replace(record.blocks[0], **fields)  # type: ignore[arg-type]  # fields of BlockRecord
    record = replace(record, blocks=(first, *record.blocks[1:]))
    runs.put_arm(store, replace(arm, resolved=arm_record.encode(record)))


@pytest.mark.parametrize(
    ("check", "flaw"),
    [
        (
            "finished",
            lambda store: runs.finish_run(store, runs.runs(store)[0].run_id, "interrupted", 1),
        ),
        ("errors", lambda store: altered(store, "error = 'HTTP 500'")),
        ("output_tokens", lambda store: altered(store, "output_tokens = 3")),
        ("input_tokens", lambda store: block_altered(store, other_lengths=1)),
        ("send_lag", lambda store: altered(store, "lag_ns = 10000001")),
        (
            "client_bound",
            lambda store: block_altered(store, client_cpu_ns=860 * MS, wall_ns=1000 * MS),
        ),
        ("concurrency", lambda store: altered(store, "sent_ns = 0")),
        ("cold_canary", lambda store: block_altered(store, canary_cached_tokens=64)),
        ("predicted_cache", lambda store: altered(store, "predicted_cached_tokens = 1")),
        ("engine_counter", lambda store: block_altered(store, engine_cached_tokens=7)),
        ("complete", lambda store: altered(store, "call_id = 'other' || step || session_id")),
    ],
)
def test_each_broken_property_voids_the_run_with_its_reason(
    store: Store, check: str, flaw: Callable[[Store], None]
) -> None:
    """A faithful run, of which one property is then broken: just its check fails."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    run_id = run(store, plan_of("a", "b"), engine_for=served_by(engines))
    assert compare(store, run_id).fidelity.passed
    flaw(store)
    verdict = compare(store, run_id)
    assert [one.name for one in verdict.fidelity.checks if not one.passed] == [check]
    assert {metric.verdict for metric in verdict.metrics} <= {"void"}
    title = next(one.title for one in verdict.fidelity.checks if one.name == check)
    assert verdict.headline.startswith(f"Void: {title.lower()}, expected ")


def test_a_delay_is_weighed_against_the_time_of_the_calls(store: Store) -> None:
    """20 ms are much beside calls of 30 ms, and nothing beside calls of some seconds."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    run_id = run(store, plan_of("a", "b"), engine_for=served_by(engines))
    altered(store, "lag_ns = 20000000")
    assert not compare(store, run_id).fidelity.passed
    with store.transaction() as connection:
        connection.execute("UPDATE measured_calls SET duration_ns = 100 * duration_ns")
    failed = [one.name for one in compare(store, run_id).fidelity.checks if not one.passed]
    assert "send_lag" not in failed


def test_cached_tokens_far_from_the_prediction_void_a_run_of_concurrent_sessions(
    store: Store,
) -> None:
    """Single calls may differ there; a tenth of all input may not."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    run_id = run(store, plan_of("a", "b", concurrency=2), engine_for=served_by(engines))
    altered(store, "predicted_cached_tokens = 9, cached_tokens = 0")
    assert compare(store, run_id).fidelity.passed
    altered(store, "predicted_cached_tokens = 11, cached_tokens = 0")
    failed = [one.name for one in compare(store, run_id).fidelity.checks if not one.passed]
    assert failed == ["cache_structure"]


def test_a_faithful_run_passes_every_check(store: Store) -> None:
    """The same fake twice: nothing fails, no difference is shown."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    verdict = compare(store, run(store, plan_of("a", "b"), engine_for=served_by(engines)))
    assert verdict.fidelity.passed
    assert {metric.verdict for metric in verdict.metrics} == {"no significant difference"}
    assert verdict.control.passed


def test_a_server_that_reports_no_settings_is_named(store: Store) -> None:
    """Zero settings that differ would otherwise say more than is known."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    run_id = run(store, plan_of("a", "b"), engine_for=served_by(engines))
    arm = runs.arms(store, run_id)[1]
    record = arm_record.decode(arm)
    assert record is not None
    record = replace(record, settings={"max_num_seqs": 8})
    runs.put_arm(store, replace(arm, resolved=arm_record.encode(record)))
    checks = compare(store, run_id).fidelity.checks
    (found,) = (check for check in checks if check.name == "confounders")
    assert found.detail == f"no settings reported by a ({UNREPORTED})"


def test_only_what_the_plan_changed_may_differ() -> None:
    """A chunk size beside the planned prefix caching is a confounder; its derivations are not."""
    settings = {"cache_config.enable_prefix_caching": True, "scheduler_config.max_num_seqs": 8}
    one = ArmRecord("vllm", "m", "measured", settings=settings)
    two = ArmRecord(
        "vllm",
        "m",
        "measured",
        settings={
            "cache_config.enable_prefix_caching": False,
            "scheduler_config.max_num_seqs": 16,
            "cache_config.num_gpu_blocks": 5,
        },
    )
    differences = confounders.changed(one, two)
    planned = {"enable-prefix-caching": True}, {"enable-prefix-caching": False}
    assert confounders.unplanned(differences, *planned) == ["scheduler_config.max_num_seqs"]


def test_what_vllm_takes_from_the_chunk_size_is_no_confounder() -> None:
    """As vLLM 0.32 reports it for 256 tokens in place of 2,048."""
    settings = {"max_num_batched_tokens": 2048, "encoder_cache_size": 2048}
    one, two = (
        ArmRecord(
            "vllm",
            "m",
            "measured",
            settings={
                f"scheduler_config.{name}": value // part for name, value in settings.items()
            },
        )
        for part in (1, 8)
    )
    planned = {"max-num-batched-tokens": 2048}, {"max-num-batched-tokens": 256}
    assert confounders.unplanned(confounders.changed(one, two), *planned) == []


def test_what_vllm_derives_from_speculation_is_no_confounder() -> None:
    """It turns asynchronous scheduling off, with what follows it, and keeps room for drafts."""
    settings = {
        "scheduler_config.async_scheduling": True,
        "parallel_config.disable_nccl_for_dp_synchronization": True,
        "scheduler_config.max_num_scheduled_tokens": None,
    }
    one = ArmRecord("vllm", "m", "measured", settings=settings)
    drafting = {
        "scheduler_config.async_scheduling": False,
        "parallel_config.disable_nccl_for_dp_synchronization": False,
        "scheduler_config.max_num_scheduled_tokens": 2045,
    }
    two = ArmRecord("vllm", "m", "measured", settings=drafting)
    differences = confounders.changed(one, two)
    assert differences.keys() == settings.keys()
    planned: tuple[dict[str, object], ...] = ({}, {"speculative-config": {"method": "ngram"}})
    assert confounders.unplanned(differences, *planned) == []
    assert set(confounders.unplanned(differences, {}, {"max-num-seqs": 2})) == settings.keys()


def test_two_kinds_of_engines_are_compared_in_the_settings_that_both_have() -> None:
    """Under one name each: what differs is listed, what is the same or only one has is not."""
    vllm = ArmRecord(
        "vllm",
        "m",
        "measured",
        prefix_caching=True,
        block_tokens=32,
        settings={
            "scheduler_config.max_num_batched_tokens": 2048,
            "scheduler_config.max_num_seqs": 16,
            "model_config.dtype": "torch.float32",
            "cache_config.swap_space": 4,
        },
    )
    sglang = ArmRecord(
        "sglang",
        "m",
        "measured",
        prefix_caching=True,
        block_tokens=1,
        settings={
            "chunked_prefill_size": 8192,
            "max_running_requests": 16,
            "dtype": "float32",
            "sleep_on_idle": True,
        },
    )
    assert confounders.changed(vllm, sglang) == {
        "engine": ("vllm", "sglang"),
        "version": (None, None),
        "KV block, tokens": (32, 1),
        "most tokens in a step": (2048, 8192),
    }


def test_too_few_sessions_are_no_proof(store: Store) -> None:
    """Three sessions: differences are shown, no interval and no judgement."""
    write_sessions(store, sessions=3)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    verdict = compare(store, run(store, plan_of("a", "b"), engine_for=served_by(engines)))
    assert {metric.verdict for metric in verdict.metrics} == {"too few sessions"}
    assert all(metric.ci95 is None for metric in verdict.metrics)


def test_a_session_of_less_than_a_millisecond_is_in_flight() -> None:
    """A fast server answers within the slack between the clocks; the peak is one, not none."""
    calls = pl.DataFrame(
        {
            "arm": ["a", "a", "b", "b"],
            "block": [0, 0, 1, 1],
            "session_id": ["s", "t", "s", "t"],
            "sent_ns": [0, 600_000, 0, 5_000_000],
            "duration_ns": [500_000, 500_000, 4_000_000, 4_000_000],
        }
    )
    (check,) = equal_concurrency(calls, planned=1)
    assert (check.value, check.passed, check.detail) == (0.0, True, "1 planned, 1 reached")

"""What voids a run: each check fails on just the flaw it is for."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from phasewise_replay import confounders
from phasewise_replay.arm_record import ArmRecord
from phasewise_replay.compare import compare
from phasewise_replay.engine import Answer, Request
from phasewise_replay.fake import FakeEngine, usual_answer
from phasewise_replay.run import run
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_run import plan_of, served_by


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


def test_a_faithful_run_passes_every_check(store: Store) -> None:
    """The same fake twice: nothing fails, no difference is shown."""
    write_sessions(store)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    verdict = compare(store, run(store, plan_of("a", "b"), engine_for=served_by(engines)))
    assert verdict.fidelity.passed
    assert {metric.verdict for metric in verdict.metrics} == {"no significant difference"}
    assert verdict.control.passed


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


def test_too_few_sessions_are_no_proof(store: Store) -> None:
    """Three sessions: differences are shown, no interval and no judgement."""
    write_sessions(store, sessions=3)
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    verdict = compare(store, run(store, plan_of("a", "b"), engine_for=served_by(engines)))
    assert {metric.verdict for metric in verdict.metrics} == {"too few sessions"}
    assert all(metric.ci95 is None for metric in verdict.metrics)

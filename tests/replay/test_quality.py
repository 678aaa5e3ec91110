"""The quality gate: answers compared with the baseline's, against the baseline's own noise."""

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from phasewise_replay.client import request_body, streamed_answer
from phasewise_replay.client.request_body import VLLM
from phasewise_replay.engine import Answer, Request
from phasewise_replay.engines.fake import FakeEngine, usual_answer
from phasewise_replay.plans import plan_file
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts import quality
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.quality import Output
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_run import SIMULATED, plan_of, served_by

Writes = Callable[[Request, int], str]
"""of a request and how often it was sent before"""


def writing(writes: Writes) -> FakeEngine:
    """Make an engine that writes so."""
    seen: dict[str, int] = {}

    def answer(request: Request) -> Answer:
        times = seen.get(request.call_id, 0)
        seen[request.call_id] = times + 1
        text = writes(request, times)
        output = orjson.dumps({"text": text, "tool_calls": []}).decode()
        return replace(usual_answer(request), output=output if request.free else None)

    return FakeEngine(answer=answer)


def same(request: Request, times: int) -> str:
    """Write the same every time."""
    return f"the answer to {request.call_id}"


def noisy(request: Request, times: int) -> str:
    """Write something else every third time."""
    return f"the answer to {request.call_id}{'!' if (times + request.step) % 3 == 0 else ''}"


def judged(store: Store, baseline: Writes, arm: Writes) -> Verdict:
    """Replay in quality mode with an engine each."""
    write_sessions(store, sessions=8)
    plan = replace(plan_of("a", "b", warmup_calls=0), mode="quality")
    engines = {"a": writing(baseline), "b": writing(arm)}
    return compare(store, run(store, plan, engine_for=served_by(engines)))


def test_the_same_answers_pass(store: Store) -> None:
    """All pairs are exact, and times are not compared."""
    verdict = judged(store, same, same)
    noise, arm = verdict.quality
    assert verdict.fidelity.passed
    assert (noise.exact, arm.exact, arm.passed) == (1.0, 1.0, True)
    assert noise.comparisons == 32 * 6
    assert arm.comparisons == 32 * 4 * 2
    assert verdict.metrics == ()
    assert "b: 100.0 % as the baseline's; quality gate passed" in verdict.headline


def test_an_arm_that_changes_answers_fails(store: Store) -> None:
    """Every fourth answer of each session has another ending."""
    verdict = judged(
        store, same, lambda request, times: same(request, times) + "." * (request.step == 3)
    )
    _, arm = verdict.quality
    assert arm.exact == 0.75
    assert arm.divergence == len("the answer to s0.3")
    assert arm.passed is False
    assert arm.excess_ci95 == pytest.approx((0.25, 0.25))
    assert verdict.headline.endswith("quality gate FAILED")


def test_noise_of_the_baseline_is_not_held_against_an_arm_that_has_as_much(store: Store) -> None:
    """The baseline does not repeat itself, nor does the arm, and equally often."""
    verdict = judged(store, noisy, noisy)
    noise, arm = verdict.quality
    assert noise.exact is not None
    assert noise.exact < 1
    assert arm.passed is True


def test_too_few_sessions_are_not_judged(store: Store) -> None:
    """Of a difference in five sessions; equality needs no statistics."""
    write_sessions(store, sessions=5)
    plan = replace(plan_of("a", "b", "c", warmup_calls=0), mode="quality")
    engines = {
        "a": writing(same),
        "b": writing(lambda request, times: "something else"),
        "c": writing(same),
    }
    verdict = compare(store, run(store, plan, engine_for=served_by(engines)))
    assert [one.passed for one in verdict.quality] == [None, None, True]


def test_the_simulator_has_no_answers(store: Store) -> None:
    """Its arms are unsupported in this mode."""
    write_sessions(store)
    plan = plan_file.parse(SIMULATED + "\nmode: quality\n", "made")
    verdict = compare(store, run(store, plan))
    assert {arm.status for arm in verdict.arms} == {"unsupported"}


def test_tool_calls_are_compared_by_name_and_by_arguments() -> None:
    """As JSON: the order of keys does not matter; also where they stand in the text."""
    one = quality.read('{"text":"","tool_calls":[["search","{\\"q\\":1,\\"n\\":2}"]]}')
    two = quality.read('{"text":"","tool_calls":[["search","{\\"n\\":2, \\"q\\":1}"]]}')
    other = quality.read('{"text":"","tool_calls":[["search","{\\"q\\":3}"]]}')
    assert quality.compared(one, two).exact
    against = quality.compared(one, other)
    assert (against.calls_tools, against.same_tools, against.same_arguments) == (True, True, False)
    marked = 'so: <tool_call>\n{"name": "search", "arguments": {"q": 1}}\n</tool_call>'
    found = quality.read(orjson.dumps({"text": marked, "tool_calls": []}).decode())
    assert found == Output(marked, (("search", '{"q":1}'),))


def test_a_free_request_is_not_forced_and_its_output_is_read() -> None:
    """No least length, no ignored end; text and the pieces of a tool call are put together."""
    free = Request("r", "s", "c", 0, 50, free=True, prompt="p")
    body = orjson.loads(request_body.completion(free, "m", VLLM)[1])
    assert body["max_tokens"] == 50
    assert not {"min_tokens", "ignore_eos"} & body.keys()
    events = [
        b'{"choices":[{"delta":{"content":"Hel"}}]}',
        b'{"choices":[{"delta":{"content":"lo"}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}',
        b"[DONE]",
    ]
    found = orjson.loads(streamed_answer.output(events))
    assert found == {"text": "Hello", "tool_calls": [["f", "{}"]]}

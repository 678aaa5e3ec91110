"""How well a call could be sent again, and what lowers that."""

import pytest
from phasewise_analyzer.replayable import Prompt, of_session, score
from phasewise_collector.dialects.content import take
from phasewise_collector.dialects.derive import derive
from phasewise_collector.otlp import protobuf
from phasewise_store.facts import Batch, Source
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, request
from tests.collector.test_dialects import OPENINFERENCE

CALL: dict[str, object] = {
    "fidelity": "verbatim",
    "finish_reason": "stop",
    "dropped_attributes": 0,
    "truncated": False,
    "usage_origin": "reported",
    "model": "m",
}
WHOLE = Prompt(known=True, has_text=True, has_tools=True)


def test_a_verbatim_call_is_replayable() -> None:
    """Nothing missing: 1, and no reason."""
    assert score(CALL, WHOLE).score == 1
    assert score(CALL, WHOLE).gaps == ()


def test_another_form_of_the_same_costs_nothing_and_is_said() -> None:
    """Blocks that become calls and results are read the same by the model."""
    judged = score(CALL, Prompt(known=True, has_tools=True, changes={"rewritten": 2}))
    assert judged.score == 1
    assert judged.changed == ("2 messages rewritten for a chat endpoint",)


@pytest.mark.parametrize(
    ("changed", "prompt", "gap"),
    [
        ({}, Prompt(known=False), "no prompt"),
        ({}, Prompt(known=True, has_text=False), "hashes only"),
        ({"dropped_attributes": 131}, WHOLE, "dropped"),
        ({"truncated": True}, WHOLE, "truncated"),
        ({"fidelity": "events"}, WHOLE, "events"),
        ({"fidelity": "flattened"}, WHOLE, "flattened"),
        ({"fidelity": "messages"}, WHOLE, "messages"),
        ({}, Prompt(known=True, has_tools=True, changes={"thinking": 3}), "changed"),
        ({"finish_reason": "tool_calls"}, Prompt(known=True), "no tools"),
        ({}, Prompt(known=True, has_tool_results=True), "no tools"),
        ({"usage_origin": "absent"}, WHOLE, "no usage"),
        ({"usage_origin": "estimated"}, WHOLE, "estimated usage"),
        ({"model": None}, WHOLE, "no model"),
    ],
)
def test_each_loss_lowers_the_score_and_says_why(
    changed: dict[str, object], prompt: Prompt, gap: str
) -> None:
    """One loss, one gap, a score below 1 and above or at 0."""
    judged = score(CALL | changed, prompt)
    assert judged.gaps == (gap,)
    assert 0 <= judged.score < 1
    assert judged.reasons[0]


def test_what_a_span_lost_is_seen_on_its_session(store: Store) -> None:
    """A span of an SDK that dropped attributes; its tools are known from the stored prompt."""
    made = request(Made(1, attributes=OPENINFERENCE | {"session.id": "s"}))
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.dropped_attributes_count = 131
    received = protobuf.decode(made.SerializeToString()).spans
    found = derive([take(one) for one in received])
    source = Source("live", "live", "otlp", "otlp")
    store.write(Batch(source, found.sessions, found.agents, found.llm_calls))
    (judged,) = of_session(store, "s").values()
    assert judged.gaps == ("dropped",)

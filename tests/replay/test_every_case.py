"""Every prompt of every case and of the shared traces can be sent, and keeps its prefix."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from phasewise_analyzer.chat_messages.conversation import NOTHING_SAID
from phasewise_analyzer.chat_messages.normalise import Normaliser
from phasewise_collector.importing import import_paths
from phasewise_replay.client import request_body
from phasewise_replay.client.endpoint_forms import EndpointForms
from phasewise_replay.engine import Endpoint, Request
from phasewise_replay.plans.session_choice import SessionChoice
from phasewise_replay.runs import chat
from phasewise_replay.sessions import sessions
from phasewise_replay.sessions.recorded import RecordedSession
from phasewise_store.errors import UsageError
from phasewise_store.store import Store

from tests.replay.chat_rules import refusal
from tests.replay.endpoint_rules import Body, messages_refusal, responses_refusal

CASES = sorted(
    path.parent for path in (Path(__file__).parents[1] / "cases").glob("*/*/expected.json")
)
TRACES = (
    "openhands-sdk",
    "openhands-eval",
    "swe-agent",
    "pi-mono",
    "tau-bench",
    "provider-cassettes",
)
REFUSALS: Mapping[Endpoint, Callable[[Body], str | None]] = {
    "messages": messages_refusal,
    "responses": responses_refusal,
}
MOST_SESSIONS = 25
"""of a large trace"""


def recorded(folder: Path) -> Iterator[RecordedSession]:
    """Give the sessions in a folder's files; none where no prompt is known."""
    with Store.in_memory() as store:
        import_paths(store, [folder])
        try:
            yield from sessions.load(store, SessionChoice(limit=MOST_SESSIONS)).sessions
        except UsageError:
            return


def refusals(session: RecordedSession) -> Iterator[str]:
    """Say which prompts a strict server would refuse, and which lost what was sent before."""
    normaliser = Normaliser()
    forms = {endpoint: EndpointForms(endpoint) for endpoint in REFUSALS}
    before: tuple[tuple[bytes, ...], tuple[bytes, ...]] = ((), ())
    for step in session.steps:
        is_raw = any(segment.kind == "text" for segment in step.prompt)
        if is_raw or not chat.has_text(step.prompt):
            continue
        sent = normaliser.prompt(step.prompt)
        body = {
            "messages": [orjson.loads(message) for message in sent.messages],
            "tools": [orjson.loads(tool) for tool in sent.tools],
        }
        if reason := refusal(body):
            yield f"{step.call_id}: {reason}"
        bare = Request(*("r", session.session_id, step.call_id, step.step, 1))
        request = replace(bare, messages=sent.messages, tools=sent.tools)
        digests = tuple(segment.digest for segment in step.prompt)
        goes_on = digests[: len(before[0])] == before[0]
        for endpoint, refused in REFUSALS.items():
            there = forms[endpoint].rewritten(request)
            _, raw = request_body.completion(there, "m", request_body.PLAIN)
            if reason := refused(orjson.loads(raw)):
                yield f"{step.call_id} on {endpoint}: {reason}"
            earlier = forms[endpoint].rewritten(replace(request, messages=before[1])).messages[:-1]
            if goes_on and there.messages[: len(earlier)] != earlier:
                yield f"{step.call_id} on {endpoint}: what was sent before is sent otherwise"
        if goes_on and sent.messages[: len(before[1])] != before[1]:
            yield f"{step.call_id}: what was sent before is sent otherwise"
        before = digests, settled(sent.messages)


def settled(messages: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Give the messages that stay: not a turn that may go on, nor what is said for nobody."""
    last = orjson.loads(messages[-1])
    if last["role"] in ("assistant", "system") or last["content"] == NOTHING_SAID:
        return messages[:-1]
    return messages


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_s_prompts_can_be_sent(case: Path) -> None:
    """Whatever format it is in."""
    found = [fault for one in recorded(case) for fault in refusals(one)]
    assert found == []


@pytest.mark.parametrize("trace", TRACES)
def test_a_real_trace_s_prompts_can_be_sent(shared_traces: Path, trace: str) -> None:
    """Sessions of real agents, in the form that each agent keeps them."""
    session_faults = [list(refusals(session)) for session in recorded(shared_traces / trace)]
    assert session_faults
    assert not any(session_faults)

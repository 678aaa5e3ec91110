"""Sessions sent to the endpoint that a plan names, or that they were captured from."""

import numpy as np
import orjson
import pytest
from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import PLAIN, VLLM
from phasewise_replay.engine import Endpoint, Request
from phasewise_replay.engines import endpoints
from phasewise_replay.engines.fake import FakeEngine
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import Arm, SglangArm
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_store import runs
from phasewise_store.errors import UsageError
from phasewise_store.facts import LlmCall, Usage
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.replay.recorded import write_calls, write_sessions
from tests.replay.strict_server import CHAT, MESSAGES, RESPONSES, strict_server

MADE = {
    "messages": (
        '{"role":"user","content":"read it"}',
        '{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]}',
        '{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}',
    ),
    "responses": (
        '{"role":"user","content":[{"type":"input_text","text":"read it"}]}',
        '{"type":"function_call","call_id":"t","name":"f","arguments":"{}"}',
        '{"type":"function_call_output","call_id":"t","output":"x"}',
    ),
}


def write_captured(store: Store) -> None:
    """Write a session of two calls from each endpoint."""
    facts = []
    for name, said in MADE.items():
        segments = tuple(text_segment("message", one, None) for one in said)
        for step, prompt in enumerate((segments[:1], segments)):
            facts.append(
                LlmCall(
                    *(f"{name}.{step}", name, f"{name}/a", step),
                    usage=Usage(uncached_tokens=40, output_tokens=20),
                    started_ns=10**18 + step * 10**10,
                    duration_ns=10**9,
                    prompt=prompt,
                )
            )
    write_calls(store, facts)


def replayed(store: Store, url: str, keys: str) -> Verdict:
    """Replay everything on a server, with these keys in the plan."""
    text = f'name: n\nwarmup_calls: 0\n{keys}\narms: [{{name: a, engine: url, url: "{url}"}}]'
    return compare(store, run(store, plan_file.parse(text, "plan")))


@pytest.mark.parametrize(
    ("endpoint", "path", "mode"),
    [("messages", MESSAGES, "performance"), ("responses", RESPONSES, "quality")],
)
def test_every_chat_goes_to_the_endpoint_that_the_plan_names(
    store: Store, endpoint: str, path: str, mode: str
) -> None:
    """In both modes: measured, with counts of the stream's own events, and nothing refused."""
    write_sessions(store, sessions=2, steps=3)
    with strict_server(serves={CHAT, path}) as server:
        verdict = replayed(store, server.url, f"endpoint: {endpoint}\nmode: {mode}")
    assert set(server.paths) == {path}
    assert server.refused == []
    calls = runs.measured(store, verdict.run_id)
    assert calls["error"].null_count() == calls.height == 24
    assert calls["ttft_ns"].null_count() == 0
    assert calls["cached_tokens"].to_list() == [0] * 24
    assert calls["input_tokens"].min() > 5  # type: ignore[operator]  # it is a number
    if mode == "performance":
        assert calls["output_tokens"].to_list() == [20] * 24
    else:
        assert set(calls["output"].to_list()) == {'{"text":"a","tool_calls":[]}'}
    assert verdict.arms[0].endpoints == {endpoint: 2}
    failed = {check.name for check in verdict.fidelity.checks if not check.passed}
    assert failed <= {"send_lag"}, "a busy machine sends late, and this server answers at once"


def test_each_session_goes_to_the_endpoint_that_it_was_captured_from(store: Store) -> None:
    """Anthropic's to messages, those of Responses to theirs, chats to chat."""
    write_captured(store)
    write_sessions(store, sessions=1, steps=2)
    with strict_server(serves={CHAT, MESSAGES, RESPONSES}) as server:
        verdict = replayed(store, server.url, "endpoint: recorded")
    assert server.refused == []
    assert verdict.arms[0].endpoints == {"messages": 1, "responses": 1, "chat": 1}
    assert verdict.arms[0].notes == ()
    sent = zip(server.paths, server.bodies, strict=True)
    tools = {path for path, body in sent if "tool_use_id" in str(body) or "call_id" in str(body)}
    assert tools == {MESSAGES, RESPONSES}


def test_a_session_whose_endpoint_is_missing_goes_to_chat_and_that_is_said(store: Store) -> None:
    """With the server's reason in the verdict."""
    write_captured(store)
    with strict_server(serves={CHAT, RESPONSES}) as server:
        verdict = replayed(store, server.url, "endpoint: recorded")
    assert set(server.paths) == {CHAT, RESPONSES}
    assert verdict.arms[0].endpoints == {"chat": 1, "responses": 1}
    assert verdict.arms[0].notes == (
        "sent to `chat` instead of `messages`, from which 1 of the sessions were captured: this "
        "server has no `/v1/messages`",
    )


def test_a_named_endpoint_that_is_missing_makes_the_arm_unsupported(store: Store) -> None:
    """Nothing is sent elsewhere in its place."""
    write_sessions(store, sessions=1, steps=1)
    with strict_server() as server:
        verdict = replayed(store, server.url, "endpoint: messages")
    arm = verdict.arms[0]
    assert (arm.status, arm.reason) == ("unsupported", "this server has no `/v1/messages`")
    assert server.bodies == []


def test_a_length_that_cannot_be_forced_is_a_reason_in_performance_mode_only() -> None:
    """It can be on vLLM's chat and Responses, and on SGLang's Responses if it is started so."""
    with strict_server(serves={CHAT, MESSAGES, RESPONSES}) as server:
        client = OpenAiClient(server.url, dialect=VLLM)
        refused = endpoints.cannot_send(client, "messages", forced=True)
        assert refused == "`/v1/messages` of this server has no field that forces the output length"
        assert endpoints.cannot_send(client, "messages", forced=False) is None
        assert endpoints.cannot_send(client, "responses", forced=True) is None
        client.dialect = endpoints.of_sglang({})
        refused = endpoints.cannot_send(client, "responses", forced=True)
        assert refused is not None
        assert "--preferred-sampling-params '{\"ignore_eos\": true}'" in refused
        client.dialect = endpoints.of_sglang({"preferred_sampling_params.ignore_eos": True})
        assert endpoints.cannot_send(client, "responses", forced=True) is None
        refused = endpoints.cannot_send(client, "responses", forced=False)
        assert refused == (
            "`/v1/responses` of this server was started so that no answer ends by itself"
        )
        client.dialect = PLAIN
        assert endpoints.cannot_send(client, "messages", forced=True) is None
        client.close()


@pytest.mark.parametrize(
    ("keys", "has_flag"),
    [
        ("endpoint: responses", True),
        ("endpoint: recorded", True),
        ("endpoint: messages", False),
        ("endpoint: chat", False),
        ("endpoint: responses\nmode: quality", False),
    ],
)
def test_sglang_is_started_so_that_responses_have_the_recorded_length(
    store: Store, keys: str, has_flag: bool
) -> None:
    """Where the plan needs it; the arm is recorded as it was started."""
    write_sessions(store, sessions=1, steps=1)
    started: list[Arm] = []

    def engine_for(arm: Arm) -> FakeEngine:
        started.append(arm)
        return FakeEngine()

    text = f"name: n\n{keys}\narms: [{{name: a, engine: sglang, model: m}}]"
    run_id = run(store, plan_file.parse(text, "plan"), engine_for=engine_for)
    flags = {"preferred-sampling-params": {"ignore_eos": True}} if has_flag else {}
    assert [arm.all_flags() for arm in started if isinstance(arm, SglangArm)] == [flags]
    (arm,) = runs.arms(store, run_id)
    assert orjson.loads(arm.config).get("flags", {}) == flags


class Tokenizer(FakeEngine):
    """An engine whose tokens are the bytes of a chat."""

    def token_ids(self, request: Request) -> TokenIds | None:
        """Give the bytes."""
        if request.prompt_token_ids is not None:
            return request.prompt_token_ids
        return np.frombuffer(b"".join(request.messages), dtype=np.uint8).astype(np.int64)


def test_completions_are_sent_as_the_server_s_own_token_ids(store: Store) -> None:
    """All of a chat, template and tools, is in them."""
    write_sessions(store, sessions=1, steps=2)
    engine = Tokenizer()
    text = (
        "name: n\nendpoint: completions\nwarmup_calls: 0\narms: [{name: a, engine: vllm, model: m}]"
    )
    run(store, plan_file.parse(text, "plan"), engine_for=lambda arm: engine)
    sent = [one for one in engine.requests if one.call_id != "canary"]
    assert len(sent) == 8
    for one in sent:
        assert one.messages == one.tools == ()
        assert one.prompt_token_ids is not None
        assert b"rule rule" in bytes(one.prompt_token_ids.astype(np.uint8))


def test_a_server_that_tells_no_token_ids_gets_no_completions(store: Store) -> None:
    """The arm is unsupported, with that reason."""
    write_sessions(store, sessions=1, steps=1)
    with strict_server() as server:
        verdict = replayed(store, server.url, "endpoint: completions")
    reason = "this server does not tell which token ids a chat is"
    assert (verdict.arms[0].status, verdict.arms[0].reason) == ("unsupported", reason)


class OnlyChat(FakeEngine):
    """An engine that has no other endpoint."""

    def cannot_send(self, endpoint: Endpoint, *, forced: bool) -> str | None:
        """Refuse all but chat."""
        return None if endpoint == "chat" else f"no `{endpoint}` here, forced {forced}"


def test_arms_on_different_endpoints_prove_nothing(store: Store) -> None:
    """Their servers do different work: the run is void, and says what went where."""
    write_captured(store)
    text = "name: n\nendpoint: recorded\narms:\n" + "".join(
        f'  - {{name: {name}, engine: url, url: "http://{name}"}}\n' for name in "ab"
    )
    engines = {"a": FakeEngine(), "b": OnlyChat()}
    run_id = run(store, plan_file.parse(text, "plan"), engine_for=lambda arm: engines[arm.name])
    verdict = compare(store, run_id)
    check = next(one for one in verdict.fidelity.checks if one.name == "endpoints")
    assert not check.passed
    assert check.detail == "sessions of a: messages 1, responses 1; b: chat 2"
    assert len(verdict.arms[1].notes) == 2


def test_a_wrong_endpoint_is_refused_with_those_there_are() -> None:
    """The error names the key."""
    with pytest.raises(UsageError, match="`endpoint` must be one of chat, completions, messages"):
        plan_file.parse("name: n\nendpoint: chats\narms: [{name: a, engine: vllm, model: m}]", "p")

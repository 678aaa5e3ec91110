"""Answers forced to the recorded tokens: what is sent, what is judged, and who cannot do it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.client import request_body
from phasewise_replay.client.answer_tokens import answer_ids, shared_tokens
from phasewise_replay.client.openai_client import OpenAiClient
from phasewise_replay.client.request_body import VLLM
from phasewise_replay.driving.driver import Pace
from phasewise_replay.engine import Request, started
from phasewise_replay.engines import start_failure
from phasewise_replay.engines.fake import FakeEngine
from phasewise_replay.engines.url import UrlEngine
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.arms import Arm, UrlArm, VllmArm
from phasewise_replay.plans.plan import Plan
from phasewise_replay.plans.plan_yaml import as_yaml
from phasewise_replay.runs import forced_tokens
from phasewise_replay.runs.preparing import Prepared, prepare
from phasewise_replay.runs.run import resume, run
from phasewise_replay.sessions import sessions
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_store import runs
from phasewise_store.errors import UnsupportedArmError, UsageError
from phasewise_store.facts import LlmCall, Usage
from phasewise_store.segments import raw_segments, text_segment
from phasewise_store.store import Store

from tests.replay.generate_server import (
    CLOSED,
    END,
    GENERATE,
    NO_REPLAY,
    NO_SCALE_OUT,
    SPECULATES,
    InTokens,
    in_tokens,
)
from tests.replay.recorded import (
    ANSWERED_SESSIONS,
    ANSWERED_STEPS,
    said,
    write_answered_sessions,
    write_calls,
    write_hashed_sessions,
    write_sessions,
)
from tests.replay.strict_server import strict_server

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"


def plan_at(url: str, keys: str = "") -> Plan:
    """Make a plan that forces tokens on a server."""
    start = f"name: n\nforced: tokens\nwarmup_calls: 0\n{keys}\n"
    return plan_file.parse(f'{start}arms: [{{name: a, engine: url, url: "{url}"}}]', "plan")


def replayed(store: Store, url: str, keys: str = "") -> Verdict:
    """Replay everything on a server with forced tokens."""
    return compare(store, run(store, plan_at(url, keys)))


def prepared(store: Store, url: str) -> Prepared:
    """Make the requests of a plan that forces tokens on a server, and send none."""
    engine = UrlEngine(UrlArm("a", url))
    recorded = sessions.load_for(store, plan_at(url))
    with started(engine) as resolved:
        return prepare(recorded.sessions, engine, resolved, Pace(), forced="tokens")


def forced_to(found: Prepared) -> list[bytes | None]:
    """Give what each call is forced to."""
    ids = [due.request.forced_ids for session in found.sessions for due in session]
    return [None if one is None else bytes(one.tolist()) for one in ids]


def failed(verdict: Verdict) -> set[str]:
    """Name the checks that failed; a busy machine sends late, and these servers answer at once."""
    return {one.name for one in verdict.fidelity.checks if not one.passed} - {"send_lag"}


def forced(server: InTokens) -> list[bytes | None]:
    """Give what each request was forced to, of the first block and without the canaries."""
    traces = [body["sampling_params"].get("trace_decode_token_ids") for body in server.bodies]
    return [None if ids is None else bytes(ids) for ids in traces][
        2 : 2 + ANSWERED_SESSIONS * ANSWERED_STEPS
    ]


def request(**fields: object) -> Request:
    """Make a request to the generate endpoint."""
    return Request(
        *("r", "s", "c", 0),
        output_tokens=3,
        endpoint="generate",
        prompt_token_ids=np.array([1, 2]),
        **fields,  # type: ignore[arg-type]  # fields of Request
    )


def test_the_body_has_the_tokens_and_their_number() -> None:
    """Where no number is given vLLM generates 16, whatever is forced."""
    path, body = request_body.completion(
        request(forced_ids=np.array([7, 8, 9]), cache_salt="x"), "m", VLLM
    )
    assert path == GENERATE
    assert orjson.loads(body) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "sampling_params": {
            "temperature": 0,
            "seed": 0,
            "max_tokens": 3,
            "trace_decode_token_ids": [7, 8, 9],
        },
        "cache_salt": "x",
        "token_ids": [1, 2],
    }


def test_a_call_without_a_known_answer_is_forced_to_a_length() -> None:
    """On the same endpoint."""
    _, body = request_body.completion(request(), "m", VLLM)
    assert orjson.loads(body)["sampling_params"] == {
        "temperature": 0,
        "seed": 0,
        "max_tokens": 3,
        "min_tokens": 3,
        "ignore_eos": True,
    }


def test_the_stream_tells_tokens_usage_and_the_engine_s_name_of_the_call() -> None:
    """As vLLM writes its chunks, of which one has no tokens and the usage."""
    with in_tokens() as server:
        client = OpenAiClient(server.url, dialect=VLLM)
        answer = client.send(replace(request(forced_ids=np.array([7, 8, 9, 10])), output_tokens=4))
        client.close()
    assert answer.error is None
    assert answer.output_token_ids is not None
    assert answer.output_token_ids.tolist() == [7, 8, 9, 10]
    assert answer.prompt_token_ids is not None
    assert answer.prompt_token_ids.tolist() == [1, 2]
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (2, 4, 0)
    assert answer.response_id == "generate-tokens-a"
    assert answer.ttft_ns is not None


def test_every_call_answers_the_tokens_of_its_recorded_answer(store: Store) -> None:
    """Which the next prompt of the session has at that place; all prompts go as token ids."""
    write_answered_sessions(store)
    with in_tokens() as server:
        verdict = replayed(store, server.url)
    assert failed(verdict) == set()
    assert server.paths == set()
    expected = [
        f"{said(session, step)}{CLOSED}{END}".encode()
        for session in range(ANSWERED_SESSIONS)
        for step in range(ANSWERED_STEPS)
    ]
    assert forced(server) == expected
    prompts = [bytes(body["token_ids"]) for body in server.bodies[2 : 2 + len(expected)]]
    for place, answer in enumerate(expected):
        if place % ANSWERED_STEPS < ANSWERED_STEPS - 1:
            assert prompts[place + 1].startswith(prompts[place] + answer)
    calls = runs.measured(store, verdict.run_id).filter(block=0).sort("session_id", "step")
    assert calls["output_tokens"].to_list() == [len(answer) for answer in expected]
    assert verdict.arms[0].notes == (forced_tokens.FORCED,)
    check = next(one for one in verdict.fidelity.checks if one.name == "forced_tokens")
    assert (check.value, check.passed) == (0.0, True)
    canaries = [body["sampling_params"] for body in server.bodies[:2]]
    assert ["trace_decode_token_ids" in one for one in canaries] == [False, False]


def test_a_call_that_answers_other_tokens_voids_the_run(store: Store) -> None:
    """Of the right number: only this check sees it, and says how many and where the first is."""
    write_answered_sessions(store)
    with in_tokens(slips=4) as server:
        verdict = replayed(store, server.url)
    assert failed(verdict) == {"forced_tokens"}
    check = next(one for one in verdict.fidelity.checks if one.name == "forced_tokens")
    assert check.value == 1.0
    assert check.detail == "a, block 0: 1 call, first `s0.2` at token 1: 111 instead of 110"
    title = "calls that did not answer the forced tokens"
    assert verdict.headline.startswith(f"Void: {title}, expected 0 calls")


def test_an_arm_that_forces_other_numbers_of_tokens_voids_the_run(store: Store) -> None:
    """Its template does not tell answers from prompts, so it forces lengths: other work."""
    write_answered_sessions(store)
    with in_tokens() as one, in_tokens(keeps_history=False) as other:
        arms = ", ".join(
            f'{{name: {name}, engine: url, url: "{url}"}}'
            for name, url in (("a", one.url), ("b", other.url))
        )
        text = f"name: n\nforced: tokens\nwarmup_calls: 0\narms: [{arms}]"
        verdict = compare(store, run(store, plan_file.parse(text, "plan")))
    check = next(one for one in verdict.fidelity.checks if one.name == "forced_tokens")
    assert check.detail == ("6 calls are forced to another number of tokens on another arm")
    assert verdict.arms[1].notes == (
        forced_tokens.FORCED,
        f"of 6 of the 6 calls only the recorded length is forced, {forced_tokens.NOT_TOLD}",
    )


def test_calls_whose_answers_were_not_captured_are_counted(store: Store) -> None:
    """They have the recorded length, and the arm says so."""
    write_answered_sessions(store, captured=1)
    with in_tokens() as server:
        found = prepared(store, server.url)
    assert [one is None for one in forced_to(found)] == [False, True, True] * ANSWERED_SESSIONS
    later = [due.request for session in found.sessions for due in session[1:]]
    assert {one.output_tokens for one in later} == {7}
    assert {one.endpoint for one in later} == {"generate"}
    assert found.notes[1:] == (
        f"of 4 of the 6 calls only the recorded length is forced, {forced_tokens.NOT_CAPTURED}",
    )


def test_sessions_without_any_captured_answer_are_refused(store: Store) -> None:
    """Before anything is started, with what to do."""
    write_sessions(store)
    with pytest.raises(UsageError, match="no answer of these sessions was captured; `forced: l"):
        run(store, plan_at("http://unused"))


def test_an_answer_with_a_tool_call_is_forced_as_the_template_writes_it(store: Store) -> None:
    """The call belongs to what the model generates."""
    call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": '{"a":1}'}}
    answer = orjson.dumps({"role": "assistant", "content": None, "tool_calls": [call]}).decode()
    write_calls(
        store,
        [
            LlmCall(
                *("s0.0", "s0", "s0/a", 0),
                usage=Usage(uncached_tokens=9, output_tokens=7),
                prompt=(text_segment("message", '{"role":"user","content":"read it"}', "user"),),
                output=(text_segment("message", answer, "assistant"),),
            )
        ],
    )
    with in_tokens() as server:
        found = prepared(store, server.url)
    assert forced_to(found)[0] == f'read{{"a":1}}{CLOSED}{END}'.encode()


def test_an_answer_that_no_assistant_gave_is_not_forced(store: Store) -> None:
    """Of such a call only the length is."""
    user = text_segment("message", '{"role":"user","content":"read it"}', "user")
    write_calls(
        store,
        [
            LlmCall(
                *("s0.0", "s0", "s0/a", 0),
                usage=Usage(uncached_tokens=9, output_tokens=7),
                prompt=(user,),
                output=(user,),
            )
        ],
    )
    with in_tokens() as server:
        found = prepared(store, server.url)
    assert forced_to(found) == [None]
    assert found.notes[1:] == (
        f"of 1 of the 1 calls only the recorded length is forced, {forced_tokens.NOT_TOLD}",
    )


def test_a_call_whose_forced_answer_does_not_fit_is_left_out(store: Store) -> None:
    """The recorded length would: the forced tokens are those of the served model."""
    write_answered_sessions(store)
    with in_tokens(context_tokens=150) as server:
        found = prepared(store, server.url)
    # the third of one session, and of the other the second, with 115 and 38 tokens, and what waits
    assert [len(session) for session in found.sessions] == [2, 1]
    assert found.skipped_calls == 3


def test_raw_text_is_forced_to_the_text_behind_it(store: Store) -> None:
    """Without the tokens that begin a text."""
    write_calls(
        store,
        [
            LlmCall(
                *("s0.0", "s0", "s0/a", 0),
                usage=Usage(uncached_tokens=9, output_tokens=7),
                prompt=raw_segments("once upon"),
                output=raw_segments(" a time"),
            )
        ],
    )
    with in_tokens() as server:
        found = prepared(store, server.url)
    assert forced_to(found) == [b" a time"]
    prompt = found.sessions[0][0].request.prompt_token_ids
    assert prompt is not None
    assert bytes(prompt.tolist()) == b"^once upon"


def test_hashes_are_forced_to_what_the_next_prompt_has_there(store: Store) -> None:
    """And where no prompt goes on, to tokens made up for the call, within the vocabulary."""
    write_hashed_sessions(store, sessions=1, steps=3)
    with in_tokens() as server:
        found = prepared(store, server.url)
        again = prepared(store, server.url)
    ids = [due.request.prompt_token_ids for due in found.sessions[0]]
    prompts = [one.tolist() for one in ids if one is not None]
    traces = [due.request.forced_ids for due in found.sessions[0]]
    answers = [one.tolist() for one in traces if one is not None]
    assert [len(answer) for answer in answers] == [20, 20, 20]
    for place in (0, 1):
        both = prompts[place] + answers[place]
        assert prompts[place + 1][: len(both)] == both
    assert len(set(answers[2])) > 10
    assert max(answers[2]) < found.vocabulary_tokens
    assert found.notes == (
        forced_tokens.FORCED,
        f"of 3 of the 3 calls {forced_tokens.FROM_HASHES}",
    )
    same = [due.request.forced_ids for due in again.sessions[0]]
    assert [one.tolist() for one in same if one is not None] == answers


def asked(server: InTokens, texts: list[str]) -> bytes | None:
    """Give the tokens of an answer: the last of these messages, behind the others."""
    messages = [
        orjson.dumps({"role": "user" if place % 2 == 0 else "assistant", "content": text})
        for place, text in enumerate(texts)
    ]
    client = OpenAiClient(server.url, dialect=VLLM)
    chat = Request("r", "s", "c", 0, output_tokens=3, messages=tuple(messages[:-1]))
    prompt = client.token_ids(chat)
    assert prompt is not None
    found = answer_ids(client, chat, prompt, messages[-1:])
    client.close()
    return None if found is None else bytes(found.tolist())


def test_an_answer_begins_where_the_template_keeps_it() -> None:
    """A thought that is opened for the model, and dropped from the history, is not in it."""
    with in_tokens(thinks="<think>") as server:
        assert asked(server, ["hello", "hi"]) == f"hi{CLOSED}{END}".encode()


def test_a_template_that_rewrites_the_history_does_not_tell_the_answer() -> None:
    """Nothing is guessed."""
    with in_tokens(keeps_history=False) as server:
        assert asked(server, ["hello", "hi"]) is None


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"scale_out": False}, f"tokens cannot be forced: HTTP 403: {NO_SCALE_OUT}"),
        ({"refuses": NO_REPLAY}, f"tokens cannot be forced: {NO_REPLAY}"),
        ({"refuses": ""}, SPECULATES),
        (
            {"ignores": True},
            "forced to generate the tokens (9, 3, 9, 4), this vLLM answered (1, 1, 1, 1)",
        ),
    ],
)
def test_a_server_that_cannot_is_unsupported_in_its_own_words(
    store: Store, behaviour: Mapping[str, object], reason: str
) -> None:
    """With the cure, and nothing is sent to it in another way."""
    write_answered_sessions(store)
    with in_tokens(**behaviour) as server:
        verdict = replayed(store, server.url)
    (arm,) = verdict.arms
    assert (arm.status, arm.reason) == ("unsupported", f"{reason}; {forced_tokens.CURE}")
    assert server.bodies == []


def test_a_server_that_is_no_vllm_is_unsupported(store: Store) -> None:
    """Whatever else it serves."""
    write_answered_sessions(store)
    with strict_server() as server:
        (arm,) = replayed(store, server.url).arms
    assert arm.status == "unsupported"
    assert arm.reason == (
        f"tokens are forced by vLLM's `{GENERATE}`, and this server is no vLLM; "
        f"{forced_tokens.CURE}"
    )
    assert server.bodies == []


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        ("sglang, model: m", "SGLang has no field that forces tokens"),
        (
            "simulated, gpu: h100-sxm, model: qwen3-8b",
            "the simulator generates no tokens that could be forced",
        ),
        (
            "vllm, model: m, presets: [ngram-speculation]",
            "vLLM does not force tokens with speculative decoding",
        ),
    ],
)
def test_what_is_known_to_be_unable_is_not_started(store: Store, engine: str, reason: str) -> None:
    """Engines that have no field for it, and a vLLM that speculates."""
    write_answered_sessions(store)
    text = f"name: n\nforced: tokens\narms: [{{name: a, engine: {engine}}}]"
    (arm,) = compare(store, run(store, plan_file.parse(text, "plan"))).arms
    assert (arm.status, arm.reason) == ("unsupported", f"{reason}; {forced_tokens.CURE}")


# the end of the log of vLLM 0.32 on a CPU, with --enable-trace-replay
LOG = """
    config = VllmConfig(
             ^^^^^^^^^^^
  File "pydantic/_internal/_dataclasses.py", line 121, in __init__
    s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)
pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig
  Value error, trace replay requires Model Runner V2 [type=value_error, input_value=ArgsKwargs((), \
{'model_co... 'shutdown_timeout': 0}), input_type=ArgsKwargs]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""


def test_a_vllm_is_started_with_the_flags_and_may_refuse_them(store: Store) -> None:
    """The reason is that of its log, with the cure; the arm's own flags stay."""
    write_answered_sessions(store)
    arms: list[Arm] = []

    def engine_for(arm: Arm) -> FakeEngine:
        arms.append(arm)
        return FakeEngine(refuses=UnsupportedArmError(start_failure.reason(LOG)))

    text = (
        "name: n\nforced: tokens\n"
        "arms: [{name: a, engine: vllm, model: m, flags: {max-num-seqs: 2}}]"
    )
    verdict = compare(store, run(store, plan_file.parse(text, "plan"), engine_for=engine_for))
    (only,) = arms
    assert isinstance(only, VllmArm)
    assert only.all_flags() == {
        "enable-trace-replay": True,
        "enable-scale-out": True,
        "max-num-seqs": 2,
    }
    assert verdict.arms[0].reason == (
        f"trace replay requires Model Runner V2; {forced_tokens.CURE}"
    )


def test_a_reason_that_has_nothing_to_do_with_it_gets_no_cure() -> None:
    """As where a flag is wrong that has the word inside another."""
    reason = "enforce-eager: out of memory"
    assert forced_tokens.with_cure(reason) == reason


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_two_sequences_share_their_start_and_nothing_behind_it(
    one: list[int], two: list[int]
) -> None:
    """Whichever is the longer one."""
    shared = shared_tokens(np.array(one, np.int64), np.array(two, np.int64))
    assert one[:shared] == two[:shared]
    assert one[shared : shared + 1] != two[shared : shared + 1] or one == two


def test_secrets_of_answers_are_replaced_as_in_the_prompts_behind_them(store: Store) -> None:
    """So that an answer still is what the next prompt has at its place."""
    write_answered_sessions(store, secret=f" {KEY}")
    recorded = sessions.load_for(store, plan_at("http://unused"))
    for session in recorded.sessions:
        for step, following in zip(session.steps, session.steps[1:], strict=False):
            assert following.prompt[len(step.prompt)] == step.output[0]
            assert KEY.encode() not in (step.output[0].content or b"")


def test_a_plan_with_other_forcing_is_another_run(store: Store) -> None:
    """A run of lengths is not continued by one of tokens."""
    write_answered_sessions(store)
    with in_tokens(scale_out=False) as server:
        first = run(store, plan_at(server.url))
        assert resume(store, plan_at(server.url)) == first
        assert resume(store, replace(plan_at(server.url), forced="lengths")) != first


def test_the_key_is_read_and_written_and_left_out_where_it_is_as_usual() -> None:
    """Stored plans from before there was a choice stay the same text."""
    plan = plan_at("http://x")
    assert plan.forced == "tokens"
    assert plan_file.parse(as_yaml(plan), "again") == plan
    assert "forced" not in as_yaml(replace(plan, forced="lengths"))


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ("forced: words", "`forced` must be lengths or tokens, not `words`"),
        ("forced: tokens\nmode: quality", "in `mode: quality` nothing is forced"),
        ("forced: tokens\nendpoint: responses", "leave `endpoint` out"),
    ],
)
def test_what_contradicts_it_is_refused(keys: str, wrong: str) -> None:
    """With the key that is wrong."""
    with pytest.raises(UsageError, match=wrong):
        plan_file.parse(f"name: n\n{keys}\narms: [{{name: a, engine: vllm, model: m}}]", "plan")

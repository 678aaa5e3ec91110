"""The request itself as a description of a call: the call has its times, usage and errors."""

import json
from collections.abc import Mapping

import pytest
from phasewise_collector.dialects.wire import SCOPE, USAGE

from tests.collector.otlp_for_tests import Made
from tests.collector.test_dialects import derived

REPORTED = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 64},
}
FRAMEWORK = Made(
    1,
    name="ChatOpenAI",
    ms=30,
    events=[("First Token Stream Event", 5)],
    scope="openinference.instrumentation.langchain",
    attributes={
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o",
        "llm.token_count.prompt": 100,
        "llm.token_count.completion": 20,
    },
)


def wire(
    span: int = 2,
    parent: int | None = 1,
    *,
    usage: Mapping[str, object] | None = None,
    status: int | None = 200,
    error: str | None = None,
    start_ms: int = 0,
    **more: object,
) -> Made:
    """Make the span of a request."""
    said = {name.replace("__", "."): value for name, value in more.items()}
    attributes: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": True,
        "url.full": "https://api.openai.com/v1/chat/completions",
        "input.value": json.dumps({"messages": [{"role": "user", "content": "hi " * 40}]}),
        "output.value": json.dumps({"choices": [{"message": {"content": "yes"}}]}),
        **said,
    }
    if usage is not None:
        attributes[USAGE] = json.dumps({"usage": usage})
    if status is not None:
        attributes["http.response.status_code"] = status
    return Made(
        span, parent, "chat gpt-4o", attributes, scope=SCOPE, ms=405, error=error, start_ms=start_ms
    )


def test_the_wire_is_the_base_of_a_call() -> None:
    """A framework's first chunk at 5 ms and its end at 30 ms are not those of the request."""
    request = wire(usage=REPORTED, phasewise__time_to_first_token_ns=204_000_000)
    (call,) = derived(FRAMEWORK, request).llm_calls
    assert (call.usage.input_tokens, call.usage.cache_read_tokens) == (100, 64)
    assert (call.ttft_ns, call.duration_ns) == (204_000_000, 405_000_000)
    assert (call.provider, call.model, call.fidelity) == ("openai", "gpt-4o", "verbatim")
    assert len(call.described_by) == 2


def test_a_whole_answer_has_no_first_token() -> None:
    """Whatever the framework says: nothing was streamed."""
    (call,) = derived(FRAMEWORK, wire(usage=REPORTED, gen_ai__request__stream=False)).llm_calls
    assert (call.ttft_ns, call.streamed) == (None, False)


def test_a_retry_is_a_call_of_its_own() -> None:
    """Two requests inside one span of a framework: the refused one cost nothing."""
    refused = wire(2, status=500, error="HTTP 500")
    second = wire(3, usage=REPORTED, start_ms=500)
    first, last = derived(FRAMEWORK, refused, second).llm_calls
    assert (first.error, first.usage.input_tokens, first.usage.origin) == ("HTTP 500", 0, "absent")
    assert (last.error, last.usage.input_tokens) == (None, 100)


def framework(span: int = 1, *, ms: int = 450, read: int | None = 0, start_ms: int = 0) -> Made:
    """Make a framework's span that does not stand above the request; it may count no input."""
    usage = {} if read is None else {"llm.token_count.prompt": read}
    said = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"} | usage
    if read is not None:
        said["llm.token_count.completion"] = 20
    return Made(span, name="Chat", ms=ms, start_ms=start_ms, scope=FRAMEWORK.scope, attributes=said)


def test_a_description_that_counts_no_input_is_of_the_request_in_it() -> None:
    """LangChain says 0 of what an Anthropic stream read."""
    (call,) = derived(framework(), wire(parent=None, usage=REPORTED, start_ms=5)).llm_calls
    assert (call.usage.input_tokens, call.usage.output_tokens) == (100, 20)


def test_a_description_may_end_before_its_stream() -> None:
    """LlamaIndex ends a span when it hands the stream on."""
    told = framework(ms=100, read=None)
    (call,) = derived(told, wire(parent=None, usage=REPORTED, start_ms=5)).llm_calls
    assert call.usage.input_tokens == 100


def test_a_description_of_a_request_and_its_retry_is_the_answered_one_s() -> None:
    """The refused request starts nearer to it."""
    refused = wire(2, None, status=500, error="HTTP 500", start_ms=1)
    retried = wire(3, None, usage=REPORTED, start_ms=410)
    calls = derived(framework(ms=900), refused, retried).llm_calls
    assert {(call.error, len(call.described_by)) for call in calls} == {("HTTP 500", 1), (None, 2)}


def test_a_framework_s_error_is_not_the_call_s() -> None:
    """The answer came; that the framework could not use it is another matter."""
    failed = Made(
        1, attributes=FRAMEWORK.attributes, scope=FRAMEWORK.scope, error="ValidationError"
    )
    (call,) = derived(failed, wire(usage=REPORTED)).llm_calls
    assert call.error is None


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        ({}, "estimated"),
        ({"phasewise__wire__abandoned": True}, "estimated"),
        ({"phasewise__wire__abandoned": True, "status": None}, "estimated"),
        ({"status": None, "error": "ReadTimeout"}, "absent"),
        ({"status": 400, "error": "HTTP 400"}, "absent"),
    ],
)
def test_what_a_request_without_usage_read(said: dict[str, object], origin: str) -> None:
    """A stream without usage, and one that was left, were read; a refused one was not."""
    (call,) = derived(wire(parent=None, **said)).llm_calls  # type: ignore[arg-type]  # by its name
    assert call.usage.origin == origin
    assert (call.usage.input_tokens > 0) == (origin == "estimated")


def test_bedrock_s_bodies_are_read() -> None:
    """Tools stand under `toolConfig`, the answer under `output.message`."""
    sent = {
        "system": [{"text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "toolConfig": {"tools": [{"toolSpec": {"name": "a"}}]},
    }
    answered = {"output": {"message": {"role": "assistant", "content": [{"text": "yes"}]}}}
    bodies = {"input__value": json.dumps(sent), "output__value": json.dumps(answered)}
    (call,) = derived(wire(parent=None, **bodies)).llm_calls  # type: ignore[arg-type]  # by its name
    assert [part.kind for part in call.prompt] == ["tool", "system", "message"]
    assert [part.role for part in call.output] == ["assistant"]


def test_a_completion_s_prompt_is_its_text() -> None:
    """Wherever `prompt` stands in the request."""
    sent = json.dumps({"model": "m", "prompt": "Once upon a time"})
    made = wire(parent=None, input__value=sent, gen_ai__operation__name="text_completion")
    (call,) = derived(made).llm_calls
    assert b"".join(part.content or b"" for part in call.prompt) == b"Once upon a time"


@pytest.mark.parametrize(
    ("message", "calls"), [("FAILALWAYS as asked", 1), ("Cannot connect to API: refused", 0)]
)
def test_an_error_that_tells_of_an_answer_is_a_call(message: str, calls: int) -> None:
    """The AI SDK writes no code, and one class of error for an answer and for none."""
    failed = Made(
        1,
        name="ai.generateText.doGenerate",
        scope="ai",
        error=message,
        events=[("exception", 5, {"exception.type": "AI_APICallError"})],
        attributes={
            "ai.operationId": "ai.generateText.doGenerate",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.system": "openai.chat",
        },
    )
    assert len(derived(failed).llm_calls) == calls

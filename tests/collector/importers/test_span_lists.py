"""Exports of other observability tools: each shape gives its calls, sessions, tools and costs."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from phasewise_collector.dialects.content import take
from phasewise_collector.importers import litellm
from phasewise_collector.importing import import_paths
from phasewise_collector.otlp.spans import ReceivedSpan, Value
from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store

TRACE = "e358efa489f58062f10dd7316b65649e"
START = "2026-09-01T10:00:00.000000"
END = "2026-09-01T10:00:02.000000"
START_NS = 1_788_256_800_000_000_000
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 20,
}


def imported(store: Store, folder: Path, text: str, name: str = "export.json") -> dict[str, Any]:
    """Import a file that holds one call; give the call."""
    path = folder / name
    path.write_text(text)
    done = import_paths(store, [path])
    assert done.skipped == []
    (call,) = reads.llm_calls(store, Scope()).iter_rows(named=True)
    return call


def test_jaeger_s_scope_parent_and_status_come_back(tmp_path: Path, store: Store) -> None:
    """What Jaeger put into tags, references and processes is the span's own again."""
    tags = [{"key": key, "type": "string", "value": value} for key, value in CHAT.items()]
    tags += [{"key": "error", "type": "bool", "value": True}]
    tags += [{"key": "otel.scope.name", "type": "string", "value": "vllm"}]
    child = {
        "traceID": TRACE[2:],  # Jaeger leaves leading zeros out; here it is just shorter
        "spanID": "3c7c0ace395d801",
        "operationName": "chat gpt-5",
        "references": [{"refType": "CHILD_OF", "traceID": TRACE[2:], "spanID": "a1"}],
        "startTime": START_NS // 1000,
        "duration": 2_000_000,
        "tags": tags,
        "logs": [{"timestamp": START_NS // 1000, "fields": [{"key": "event", "value": "x"}]}],
        "processID": "p1",
    }
    parent = {
        "traceID": TRACE[2:],
        "spanID": "a1",
        "operationName": "invoke_agent planner",
        "startTime": START_NS // 1000,
        "duration": 3_000_000,
        "tags": [{"key": "gen_ai.operation.name", "value": "invoke_agent"}],
        "processID": "p1",
    }
    processes = {"p1": {"serviceName": "svc", "tags": []}}
    page = {"data": [{"traceID": TRACE[2:], "spans": [child, parent], "processes": processes}]}
    call = imported(store, tmp_path, json.dumps(page))
    assert call["trace_id"] == TRACE[2:].rjust(32, "0")
    assert (call["started_ns"], call["duration_ns"]) == (START_NS, 2 * 10**9)
    assert (call["agent"], call["error"]) == (
        "planner",
        "the span has an error status without a message",
    )


def python_console(**changes: object) -> dict[str, Any]:
    """Make a span as Python's ConsoleSpanExporter prints it."""
    return {
        "name": "chat gpt-5",
        "context": {"trace_id": f"0x{TRACE}", "span_id": "0x03c7c0ace395d801", "trace_state": "[]"},
        "kind": "SpanKind.CLIENT",
        "parent_id": None,
        "start_time": f"{START}Z",
        "end_time": f"{END}Z",
        "status": {"status_code": "ERROR", "description": "boom"},
        "attributes": CHAT,
        "events": [{"name": "First Token Stream Event", "timestamp": "2026-09-01T10:00:00.5Z"}],
        "links": [],
        "resource": {"attributes": {"service.name": "svc"}, "schema_url": ""},
    } | changes


def test_python_s_console_output_is_read_span_by_span(tmp_path: Path, store: Store) -> None:
    """Indented objects one behind the other, with first token and error; noise between is named."""
    one = json.dumps(python_console(), indent=4)
    other = json.dumps(python_console(context={"trace_id": "0x1", "span_id": "0x2"}), indent=4)
    path = tmp_path / "console.log"
    path.write_text(f"{one}\nnot a span\n{other}\n")
    done = import_paths(store, [path])
    assert [(left.line, left.reason[:8]) for left in done.skipped] == [
        (one.count("\n") + 2, "not JSON")
    ]
    first, _ = (
        reads.llm_calls(store, Scope()).sort("trace_id", descending=True).iter_rows(named=True)
    )
    assert (first["ttft_ns"], first["error"], first["model"]) == (5 * 10**8, "boom", "gpt-5")


@pytest.mark.parametrize(
    "span",
    [
        {"traceId": TRACE, "spanId": "03c7c0ace395d801", "startTime": [START_NS // 10**9, 0]}
        | {"endTime": [START_NS // 10**9 + 2, 0]},
        {"_spanContext": {"traceId": TRACE, "spanId": "03c7c0ace395d801"}}
        | {"startTime": [START_NS // 10**9, 0], "_duration": [2, 0]},
        {"traceId": TRACE, "id": "03c7c0ace395d801", "timestamp": START_NS // 1000}
        | {"duration": 2_000_000},
    ],
    ids=["copilot", "gemini-cli", "console"],
)
def test_javascript_s_spans(tmp_path: Path, store: Store, span: dict[str, Any]) -> None:
    """[seconds, nanoseconds], a private context, or microseconds: the same call."""
    whole = span | {"name": "chat gpt-5", "kind": 2, "attributes": CHAT}
    whole |= {"resource": {"_rawAttributes": [["service.name", "copilot-cli"]]}}
    call = imported(store, tmp_path, json.dumps(whole) + "\n", "spans.jsonl")
    assert (call["started_ns"], call["duration_ns"]) == (START_NS, 2 * 10**9)
    assert (call["trace_id"], call["agent"]) == (TRACE, "copilot-cli")


PRINTED = """{
  resource: {
    attributes: {
      'service.name': 'copilot-cli',
      'process.command_args': [ '/usr/bin/node', ... 3 more items ]
    }
  },
  instrumentationScope: { name: 'demo', version: undefined, schemaUrl: undefined },
  traceId: 'e358efa489f58062f10dd7316b65649e',
  parentSpanContext: undefined,
  traceState: undefined,
  name: 'chat gpt-5',
  id: '03c7c0ace395d801',
  kind: 2,
  timestamp: 1788256800000000,
  duration: 2000000.5,
  attributes: {
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': 'gpt-5',
    'gen_ai.usage.input_tokens': 1000,
    'gen_ai.usage.output_tokens': 20,
    'gen_ai.prompt': 'it\\'s: {a} [b]\\n' +
      'undefined, ' + "true",
    nested: [Object]
  },
  status: { code: 0 },
  events: [],
  links: []
}
"""


def test_what_javascript_prints_is_read(tmp_path: Path, store: Store) -> None:
    """ConsoleSpanExporter's objects: names without quotes, joined texts, what it left out."""
    call = imported(store, tmp_path, PRINTED, "console.txt")
    assert (call["started_ns"], call["input_tokens"]) == (START_NS, 1000)
    assert (call["trace_id"], call["agent"]) == (TRACE, "copilot-cli")
    (said,) = reads.prompt(store, call["call_id"])
    assert json.loads(said.content or b"")["content"] == "it's: {a} [b]\nundefined, true"


def test_phoenix_s_nested_messages_are_a_prompt(tmp_path: Path, store: Store) -> None:
    """A row of Phoenix's table: dotted columns, lists of messages inside them."""
    row = {
        "name": "ChatCompletion",
        "span_kind": "LLM",
        "parent_id": None,
        "start_time": 1_788_256_800_000,
        "end_time": 1_788_256_802_000,
        "status_code": "OK",
        "context.span_id": "03c7c0ace395d801",
        "context.trace_id": TRACE,
        "attributes.llm.model_name": "gpt-4o",
        "attributes.llm.token_count.prompt": 1000,
        "attributes.llm.token_count.completion": 20,
        "attributes.llm.input_messages": [{"message.role": "user", "message.content": "hi"}],
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": "yo"}],
        "attributes.session": {"id": "s-1"},
        "attributes.user.id": None,
    }
    call = imported(store, tmp_path, json.dumps([row]))
    assert (call["input_tokens"], call["session_id"]) == (1000, "s-1")
    (said,) = reads.prompt(store, call["call_id"])
    assert (said.role, said.kind) == ("user", "message")
    assert json.loads(said.content or "")["content"] == "hi"


def test_mlflow_s_session_prompt_tool_and_cost(tmp_path: Path, store: Store) -> None:
    """JSON in attributes is unpacked; a tool's span is a tool call; ids in base64 are read."""
    ids = {"trace_id": "41jvpIn1gGLxDdcxa2Vkng=="}
    model = ids | {
        "span_id": "A8fArOOV2AE=",
        "parent_span_id": "",
        "name": "Completions",
        "start_time_unix_nano": START_NS,
        "end_time_unix_nano": START_NS + 2 * 10**9,
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {
            "mlflow.spanType": '"CHAT_MODEL"',
            "mlflow.spanInputs": '{"messages": [{"role": "user", "content": "hi"}]}',
            "mlflow.spanOutputs": '{"choices": [{"message": {"content": "yo"}}]}',
            "mlflow.chat.tokenUsage": '{"input_tokens": 1000, "output_tokens": 20}',
            "mlflow.llm.model": '"gpt-4o"',
            "mlflow.llm.cost": '{"total_cost": 0.25}',
        },
    }
    tool = model | {
        "span_id": "A8fArOOV2AI=",
        "name": "search",
        "attributes": {"mlflow.spanType": '"TOOL"', "mlflow.spanInputs": '{"q": 1}'},
    }
    info = {"trace_metadata": {"mlflow.trace.session": "s1", "mlflow.trace.user": "u1"}}
    document = {"info": info, "data": {"spans": [model, tool]}}
    call = imported(store, tmp_path, json.dumps(document))
    assert (call["session_id"], call["user_id"]) == ("s1", "u1")
    assert (call["model"], call["reported_cost_usd"]) == ("gpt-4o", 0.25)
    assert [part.role for part in reads.prompt(store, call["call_id"])] == ["user"]
    assert store.frame("SELECT name, session_id FROM tool_calls").rows() == [("search", "s1")]


def test_mlflow_s_attributes_are_a_prompt_over_otlp_too() -> None:
    """What MLflow itself exports holds the request, the answer and its id under its own names."""
    attributes: dict[str, Value] = {
        "mlflow.spanType": '"CHAT_MODEL"',
        "mlflow.llm.model": '"gpt-4o"',
        "mlflow.spanInputs": '{"messages": [{"role": "user", "content": "hi"}]}',
        "mlflow.spanOutputs": '{"id": "chatcmpl-1", "choices": [{"message": {"content": "yo"}}]}',
    }
    taken = take(ReceivedSpan(TRACE, "2" * 16, None, "chat", "client", 5, 9, attributes))
    assert [one.role for one in taken.prompt] == ["user"]
    assert len(taken.output) == 1
    assert taken.span.response_id == "chatcmpl-1"
    assert "mlflow.spanInputs" not in taken.span.attributes


def langsmith_run(**changes: object) -> dict[str, Any]:
    """Make a run of a model as `list_runs` gives it."""
    return {
        "id": "0199a000-0000-7000-8000-00000000000b",
        "trace_id": "0199a000-0000-7000-8000-00000000000a",
        "parent_run_id": "0199a000-0000-7000-8000-00000000000a",
        "name": "ChatOpenAI",
        "run_type": "llm",
        "start_time": START,
        "end_time": END,
        "first_token_time": "2026-09-01T10:00:00.250000",
        "inputs": {},
        "outputs": {},
        "extra": {"metadata": {"thread_id": "th1", "ls_provider": "openai"}},
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "session_id": "5f0",
    } | changes


def test_langsmith_s_langchain_messages_are_a_prompt(tmp_path: Path, store: Store) -> None:
    """Serialised messages become a chat's, usage comes from the answer, tools from the request."""
    asked = {"id": ["langchain", "schema", "HumanMessage"], "kwargs": {"content": "hi"}, "lc": 1}
    said: dict[str, Any] = {
        "content": "",
        "tool_calls": [{"id": "c1", "name": "search", "args": {"q": "x"}}],
    }
    said |= {"type": "ai", "usage_metadata": {"input_tokens": 1000, "output_tokens": 20}}
    said["usage_metadata"]["input_token_details"] = {"cache_read": 600}
    extra: dict[str, Any] = {
        "metadata": {"thread_id": "th1", "ls_model_name": "gpt-4o", "user_id": "u1"}
    }
    extra["invocation_params"] = {"tools": [{"type": "function", "function": {"name": "search"}}]}
    model = langsmith_run(
        inputs={"messages": [[asked]]},
        outputs={"generations": [[{"message": {"lc": 1, "kwargs": said}}]]},
        extra=extra,
        total_cost="0.125",
    )
    root = langsmith_run(
        id="0199a000-0000-7000-8000-00000000000a",
        parent_run_id=None,
        run_type="chain",
        name="planner",
        child_runs=[model],
    )
    tool = langsmith_run(
        id="0199a000-0000-7000-8000-00000000000c", run_type="tool", name="search", inputs={"q": "x"}
    )
    text = "".join(json.dumps(one) + "\n" for one in (root, tool))
    call = imported(store, tmp_path, text, "runs.jsonl")
    tokens = (call["input_tokens"], call["cache_read_tokens"], call["output_tokens"])
    assert tokens == (1000, 600, 20)
    assert (call["session_id"], call["user_id"], call["model"]) == ("th1", "u1", "gpt-4o")
    assert (call["ttft_ns"], call["reported_cost_usd"]) == (250_000_000, 0.125)
    assert [part.kind for part in reads.prompt(store, call["call_id"])] == ["tool", "message"]
    assert store.frame("SELECT name FROM tool_calls").rows() == [("search",)]


def spend(**changes: object) -> dict[str, Any]:
    """Make a row of LiteLLM's SpendLogs."""
    usage: dict[str, Any] = {"prompt_tokens": 1000, "completion_tokens": 20}
    usage["prompt_tokens_details"] = {"cached_tokens": 600}
    return {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "spend": 0.00195,
        "prompt_tokens": 1000,
        "completion_tokens": 20,
        "startTime": "2026-09-01 10:00:00.000",
        "endTime": "2026-09-01 10:00:02.000",
        "completionStartTime": "2026-09-01 10:00:00.500",
        "model": "gpt-4o-2024-08-06",
        "custom_llm_provider": "openai",
        "session_id": "s1",
        "end_user": "u1",
        "metadata": {"usage_object": usage},
        "messages": {},
        "response": {},
        "status": "success",
    } | changes


def test_litellm_s_rows_as_json_and_as_a_table_are_the_same(tmp_path: Path, store: Store) -> None:
    """Cached tokens, cost, user, session and first token; the table adds no second call."""
    call = imported(store, tmp_path, json.dumps([spend()]))
    assert (call["input_tokens"], call["cache_read_tokens"]) == (1000, 600)
    assert (call["ttft_ns"], call["reported_cost_usd"]) == (5 * 10**8, 0.00195)
    assert (call["session_id"], call["user_id"], call["provider"]) == ("s1", "u1", "openai")
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(spend())
    cells = spend().values()
    writer.writerow([json.dumps(one) if isinstance(one, dict) else one for one in cells])
    again = imported(store, tmp_path, table.getvalue(), "spend.csv")
    assert again["call_id"] == call["call_id"]


def test_litellm_s_bodies_are_the_prompt(tmp_path: Path, store: Store) -> None:
    """The request that the proxy kept is verbatim; a failed request says why."""
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
    row = spend(
        proxy_server_request=json.dumps(asked),
        response={"id": "chatcmpl-1", "choices": [{"message": {"content": "yo"}}]},
        status="failure",
        metadata={"error_information": {"error_message": "rate limit"}},
    )
    call = imported(store, tmp_path, json.dumps(row))
    assert (call["fidelity"], call["error"]) == ("verbatim", "rate limit")
    assert [part.role for part in reads.prompt(store, call["call_id"])] == ["user"]


def test_langfuse_s_columns_and_old_counts(tmp_path: Path, store: Store) -> None:
    """Blob storage spells columns of the database; before details there was `usage`."""
    row = {
        "id": "obs-1",
        "trace_id": "tr-1",
        "parent_observation_id": None,
        "type": "GENERATION",
        "name": "llm",
        "start_time": "2026-09-01 10:00:00.000000",
        "end_time": "2026-09-01 10:00:02.000000",
        "provided_model_name": "gpt-4o",
        "usage": {"input": 10, "output": 5, "total": 15, "unit": "TOKENS"},
        "total_cost": "0.5",
        "session_id": 42,
        "user_id": "u1",
        "input": '[{"role": "user", "content": "hi"}]',
    }
    call = imported(store, tmp_path, json.dumps(row) + "\n", "observations.jsonl")
    assert (call["input_tokens"], call["output_tokens"], call["model"]) == (10, 5, "gpt-4o")
    assert (call["session_id"], call["user_id"]) == ("42", "u1")
    assert (call["reported_cost_usd"], call["duration_ns"]) == (0.5, 2 * 10**9)


def test_langfuse_s_table_is_read(tmp_path: Path, store: Store) -> None:
    """The interface's batch export as CSV: JSON in cells is parsed."""
    row = {
        "id": "obs-1",
        "traceId": "tr-1",
        "parentObservationId": "",
        "type": "GENERATION",
        "startTime": "2026-09-01T10:00:00.000Z",
        "endTime": "2026-09-01T10:00:02.000Z",
        "model": "gpt-4o",
        "usageDetails": '{"input": 10, "output": 5, "total": 15}',
        "input": '[{"role": "user", "content": "two\nlines"}]'.replace("\n", "\\n"),
    }
    table = io.StringIO()
    writer = csv.DictWriter(table, row)
    writer.writeheader()
    writer.writerow(row)
    call = imported(store, tmp_path, table.getvalue(), "observations.csv")
    assert (call["input_tokens"], call["output_tokens"]) == (10, 5)


def test_a_span_without_ids_or_with_a_bad_time_is_named(tmp_path: Path, store: Store) -> None:
    """A bad record stops nothing: it is listed with its line and the reason."""
    good = python_console()
    bad = [python_console(start_time="soon"), python_console(context={"trace_id": TRACE})]
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (bad[0], good, bad[1])))
    done = import_paths(store, [path])
    assert [(left.line, left.reason) for left in done.skipped] == [
        (1, "'soon' is not a date and time"),
        (3, "the span has no trace id and span id"),
    ]
    assert done.llm_calls == 1


@pytest.mark.parametrize(
    "value",
    [None, True, -1, 2**70, 10**400, "", "[", [], {}, [1], [[]], [None, None], {"key": []}],
    ids=repr,
)
def test_a_wrong_value_anywhere_stops_nothing(tmp_path: Path, store: Store, value: object) -> None:
    """Each field of each shape in turn holds something else: the rest of the file is read."""
    shapes = [python_console(), langsmith_run(), spend(), JAEGER]
    wrong = [one | {name: value} for one in shapes for name in one]
    lines = [json.dumps(one) for one in (*wrong, python_console())]
    path = tmp_path / "spans.jsonl"
    path.write_text("\n".join(lines))
    assert import_paths(store, [path]).files == 1
    assert not store.frame("SELECT * FROM llm_calls WHERE model = 'gpt-5'").is_empty()


JAEGER: dict[str, Any] = {
    "traceID": TRACE,
    "spanID": "3c7c0ace395d801",
    "operationName": "chat gpt-5",
    "references": [],
    "startTime": START_NS // 1000,
    "duration": 2_000_000,
    "tags": [{"key": "gen_ai.request.model", "value": "gpt-5"}],
    "logs": [],
    "processID": "p1",
}


def test_an_api_s_answer_around_otlp_is_opened(tmp_path: Path, store: Store) -> None:
    """Jaeger's API v3 says `result`, Tempo's `batches`; a request with nothing in it says so."""
    attributes = [
        {"key": key, "value": {"intValue" if isinstance(value, int) else "stringValue": value}}
        for key, value in CHAT.items()
    ]
    span = {"traceId": TRACE, "spanId": "1" * 16, "name": "chat", "attributes": attributes}
    jaeger = {"result": {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}}
    tempo_span = span | {"traceId": "41jvpIn1gGLxDdcxa2Vkng==", "spanId": "A8fArOOV2AE="}
    tempo = {"batches": [{"instrumentationLibrarySpans": [{"spans": [tempo_span]}]}]}
    for number, document in enumerate((jaeger, tempo)):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(document))
        done = import_paths(store, [path])
        assert (done.llm_calls, done.skipped) == (1, [])
    path.write_text('{"resourceSpans": [{"spans": [{"name": "x"}]}]}')
    (left,) = import_paths(store, [path]).skipped
    assert "`spans` is not a known field" in left.reason


def test_an_answer_out_of_litellm_s_cache_is_one() -> None:
    """The row says that no provider was asked, and the call's usage says so, too."""
    (span,) = litellm.spans(spend(cache_hit="True", spend=0))
    assert isinstance(span, ReceivedSpan)
    assert take(span).usage.billing.response_cache_hit

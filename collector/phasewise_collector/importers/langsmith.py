"""LangSmith's runs: what `list_runs`, the API and the bulk export give, a run a record.

A run is a span: of a model (`llm`), of a tool, or of anything around them. Usage stands in the
run's own counts, else in its outputs; a conversation is the `thread_id` of its metadata, since
`session_id` names LangSmith's project.
"""

from collections.abc import Iterator, Mapping

from phasewise_collector.importers import langchain_messages, span_usage
from phasewise_collector.importers.fields import BadRecordError, Record
from phasewise_collector.importers.span_records import FIRST_CHUNK, Around, span_of
from phasewise_collector.importers.span_values import as_text, moment_ns
from phasewise_collector.otlp.spans import ReceivedSpan, Value

KEYS = (("run_type", "start_time"), ("run_type", "dotted_order"))
SOURCE = "langsmith"
_SESSION = ("thread_id", "session_id", "conversation_id")


def spans(root: Record) -> Iterator[ReceivedSpan | BadRecordError]:
    """Return the span of a run, and those of the runs inside it."""
    try:
        yield span_of(_renamed(root), Around())
    except BadRecordError as error:
        yield error
    children = root.get("child_runs")
    for child in children if isinstance(children, list) else ():
        if isinstance(child, dict):
            yield from spans(child)


def _renamed(run: Record) -> Record:
    kind = str(run.get("run_type") or "")
    extra = _object(run, "extra")
    about = {**_object(run, "metadata"), **_object(extra, "metadata")}
    found: dict[str, Value] = {"langsmith.span.kind": kind}
    session = next((about[name] for name in _SESSION if about.get(name)), run.get("thread_id"))
    for name, value in (("session.id", session), ("user.id", about.get("user_id"))):
        if value:
            found[name] = str(value)
    if run.get("tags"):
        found["tag.tags"] = as_text(run["tags"])
    inputs, outputs = _object(run, "inputs"), _object(run, "outputs")
    if kind == "llm":
        found |= _of_model(run, about, _object(extra, "invocation_params"))
        found |= _content(inputs, outputs, _object(extra, "invocation_params"))
    elif kind == "tool":
        found["gen_ai.tool.name"] = str(run.get("name") or "tool")
        found["gen_ai.tool.call.arguments"] = as_text(inputs)
        found["gen_ai.tool.call.result"] = as_text(outputs)
    first_ns = moment_ns(run.get("first_token_time"))
    return {
        "trace_id": run.get("trace_id") or run.get("id"),
        "span_id": run.get("id"),
        "parent_id": run.get("parent_run_id"),
        "name": run.get("name"),
        "start_time": run.get("start_time"),
        "end_time": run.get("end_time"),
        "attributes": found,
        "scope": {"name": SOURCE},
        "status_code": "ERROR" if run.get("error") else "UNSET",
        "status_message": run.get("error"),
        "events": [{"name": FIRST_CHUNK, "timestamp": first_ns}] if first_ns else [],
    }


def _of_model(run: Record, about: Record, sent: Record) -> dict[str, Value]:
    found: dict[str, Value] = {}
    model = about.get("ls_model_name") or sent.get("model") or sent.get("model_name")
    for name, value in (
        ("gen_ai.request.model", model),
        ("gen_ai.provider.name", about.get("ls_provider")),
    ):
        if value:
            found[name] = str(value)
    cost = run.get("total_cost")
    if cost not in (None, ""):
        found["gen_ai.usage.cost"] = str(cost)
    return found | (_counts(run) or _usage_inside(_object(run, "outputs"), about))


def _counts(run: Record) -> dict[str, Value]:
    """Return the run's own counts; LangSmith writes 0 where it knows none."""
    read, written = run.get("prompt_tokens"), run.get("completion_tokens")
    if not read and not written:
        return {}
    usage = {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": run.get("total_tokens"),
        "input_token_details": _object(run, "prompt_token_details"),
        "output_token_details": _object(run, "completion_token_details"),
    }
    return span_usage.attribute(usage)


def _usage_inside(outputs: Record, about: Record) -> dict[str, Value]:
    answer = _answer(outputs)
    kwargs = _object(answer, "kwargs")
    for holder in (outputs, kwargs, answer, about):
        if found := span_usage.attribute(_object(holder, "usage_metadata")):
            return found
    for holder in (outputs, _object(outputs, "llm_output"), _object(kwargs, "response_metadata")):
        for name in ("usage", "token_usage"):
            if found := span_usage.attribute(_object(holder, name)):
                return found
    return {}


def _content(inputs: Record, outputs: Record, sent: Record) -> dict[str, Value]:
    found: dict[str, Value] = {}
    listed = inputs.get("messages")
    if langchain_messages.are(listed):
        found["gen_ai.prompt"] = as_text(list(langchain_messages.messages(listed)))
    elif inputs:
        found["input.value"] = as_text(inputs)
    tools = sent.get("tools")
    if tools and "tools" not in inputs:
        found["gen_ai.tool.definitions"] = as_text(tools)
    answer = _answer(outputs)
    if answer:
        message = langchain_messages.message(answer)
        found["output.value"] = as_text({"choices": [{"message": message}]})
    elif outputs:
        found["output.value"] = as_text(outputs)
    return found


def _answer(outputs: Record) -> Record:
    """Return LangChain's message in a run's outputs."""
    generations = outputs.get("generations")
    if isinstance(generations, list) and generations:
        one = generations[0][0] if isinstance(generations[0], list) and generations[0] else None
        one = generations[0] if one is None else one
        return _object(one, "message") if isinstance(one, Mapping) else {}
    output = outputs.get("output")
    return output if isinstance(output, Mapping) and "content" in output else {}


def _object(holder: Record, name: str) -> Record:
    found = holder.get(name)
    return found if isinstance(found, Mapping) else {}

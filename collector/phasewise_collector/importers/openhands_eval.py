"""OpenHands evaluation outputs: one run per line, as a stream of events.

An action with a model's response is a call; several actions of one response are one call. The
prompt is rebuilt from the events before it, as the agent would show them to the model, so it is
near, not exact. Latencies stand in the run's metrics under the response's id.
Source: https://github.com/All-Hands-AI/OpenHands, evaluation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import orjson
from phasewise_store.facts import Agent, Batch, Source
from phasewise_store.segments import text_segment

from phasewise_collector.importers import chat, names
from phasewise_collector.importers.fields import (
    Record,
    iso_ns,
    items,
    optional_text,
    record,
    span_ns,
    text,
)
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.importers.lines import any_line_has, read_lines
from phasewise_collector.importers.model_names import litellm_names
from phasewise_collector.importers.transcript import Transcript, blank_call
from phasewise_collector.usage.reader import usage_of_body

FORMAT = "openhands-eval"
SOURCE = "openhands-eval"
ROLE = "openhands"
SECOND_NS = 10**9


def recognises(head: bytes, path: Path) -> bool:
    """Return whether a line begins as a run does; a run is longer than the head."""
    del path
    keys = {"instance_id", "history", "metrics"}
    begins = head.startswith(b'{"instance_id"') and b'"instruction"' in head
    return begins or any_line_has(head, keys)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every run as a session."""
    runs: list[_Run] = []
    session_names = names.SessionNames(trace.source_id)

    def take(fields: Record) -> None:
        runs.append(_Run(fields, session_names.new(text(fields, "instance_id"))))

    yield from read_lines(trace, take)
    source = Source(trace.source_id, SOURCE, FORMAT, str(trace.path))
    for run in runs:
        transcript = run.transcript
        if transcript.calls:
            yield Batch(
                source,
                sessions=(transcript.session(run.name),),
                agents=(transcript.agent,),
                llm_calls=tuple(transcript.calls),
                tool_calls=tuple(transcript.tool_calls),
            )


class _Run:
    def __init__(self, fields: Record, session_id: str) -> None:
        self.name = text(fields, "instance_id")
        metadata = record(fields.get("metadata"), "`metadata`")
        config = record(metadata.get("llm_config"), "`llm_config`")
        base_url = config.get("base_url")
        self.model = litellm_names(
            text(config, "model"), base_url if isinstance(base_url, str) else None
        )
        agent = Agent(names.agent_id(session_id, ROLE), session_id, ROLE)
        self.transcript = Transcript(agent, chat.Segments())
        self.latencies = dict(_latencies(fields.get("metrics")))
        self.seen: set[str] = set()
        for event in items(fields, "history"):
            self._take(record(event, "an event"))

    def _take(self, event: Record) -> None:
        arguments = event.get("args")
        if event.get("action") == "system" and isinstance(arguments, dict):
            tools = arguments.get("tools")
            self.transcript.extend(
                text_segment("tool", orjson.dumps(tool).decode())
                for tool in (tools if isinstance(tools, list) else ())
            )
            self.transcript.add({"role": "system", "content": arguments.get("content")})
        elif "observation" in event:
            self._observation(event)
        elif event.get("source") == "agent" and "action" in event:
            self._action(event)
        elif event.get("action") == "message" and isinstance(arguments, dict):
            self.transcript.add({"role": "user", "content": arguments.get("content")})

    def _observation(self, event: Record) -> None:
        called = event.get("tool_call_metadata")
        if isinstance(called, dict):
            self.transcript.add(
                {
                    "role": "tool",
                    "tool_call_id": called.get("tool_call_id"),
                    "content": event.get("content"),
                }
            )

    def _action(self, event: Record) -> None:
        called = event.get("tool_call_metadata")
        if not isinstance(called, dict) or not isinstance(called.get("model_response"), dict):
            return
        response = record(called["model_response"], "`model_response`")
        response_id = text(response, "id")
        if response_id in self.seen:
            return
        self.seen.add(response_id)
        choice = record((items(response, "choices") or [None])[0], "the first choice")
        answer = record(choice.get("message"), "`message`")
        ended_ns = iso_ns(event, "timestamp")
        took_ns = self.latencies.get(response_id)
        provider, model = self.model
        self.transcript.call(
            {key: value for key, value in answer.items() if value is not None},
            replace(
                blank_call(),
                provider=provider,
                model=model,
                started_ns=ended_ns - (took_ns or 0),
                duration_ns=took_ns,
                finish_reason=optional_text(choice, "finish_reason"),
                response_id=response_id,
                fidelity="messages",
            ),
            usage=usage_of_body(response),
            asked=[
                text(record(one.get("function"), "`function`"), "name")
                for one in chat.tool_calls(answer)
            ],
            tool_starts_ns=ended_ns,
        )


def _latencies(metrics: object) -> Iterator[tuple[str, int]]:
    if not isinstance(metrics, Mapping):
        return
    found = metrics.get("response_latencies")
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and isinstance(one.get("response_id"), str):
            yield one["response_id"], span_ns(one, "latency", unit_ns=SECOND_NS)

"""Usage exports of OpenAI's and Anthropic's consoles: what was billed, to hold captures against.

CSV with a row per period, model, project and key. A row is stored as one call that stands for all
requests of its period, under an agent `billed` or `billed PROJECT` and a data set of its own
(`--source`), so that `phasewise agents` shows the billed tokens and their price beside the captured
ones. It has no latency and no prompt; how many requests it stands for is in its request parameters.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from phasewise_store.facts import Agent, Batch, LlmCall, Session, Source, Usage

from phasewise_collector.importers import names, tables
from phasewise_collector.importers.fields import BadRecordError, iso_ns
from phasewise_collector.importers.importer import Note, Skipped, Trace
from phasewise_collector.usage.reader import usage_of

FORMAT = "usage-export"
SOURCE = "usage-export"
ROLE = "billed"
_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class _Export:
    """How one provider's table is read."""

    provider: str
    columns: frozenset[str]
    """that tell it"""
    model: str
    project: tuple[str, ...]
    started_ns: Callable[[tables.Row], int]
    usage: Callable[[tables.Row], dict[str, object]]
    """a row as the usage of that provider's response"""


def _openai_start(row: tables.Row) -> int:
    if row.get("start_time_iso"):
        return iso_ns(row, "start_time_iso")
    return tables.whole(row, "start_time") * _SECOND_NS


def _openai_usage(row: tables.Row) -> dict[str, object]:
    return {
        "prompt_tokens": tables.whole(row, "input_tokens"),
        "completion_tokens": tables.whole(row, "output_tokens"),
        "prompt_tokens_details": {
            "cached_tokens": tables.whole(row, "input_cached_tokens"),
            "cache_write_tokens": tables.whole(row, "input_cache_write_tokens"),
            "audio_tokens": tables.whole(row, "input_audio_tokens"),
        },
        "completion_tokens_details": {"audio_tokens": tables.whole(row, "output_audio_tokens")},
    }


def _anthropic_usage(row: tables.Row) -> dict[str, object]:
    kept = "usage_input_tokens_cache_write"
    minutes, hour = tables.whole(row, f"{kept}_5m"), tables.whole(row, f"{kept}_1h")
    minutes += tables.whole(row, kept)  # exports before lifetimes had one column
    return {
        "input_tokens": tables.whole(row, "usage_input_tokens_no_cache"),
        "cache_read_input_tokens": tables.whole(row, "usage_input_tokens_cache_read"),
        "cache_creation_input_tokens": minutes + hour,
        "cache_creation": {
            "ephemeral_5m_input_tokens": minutes,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": tables.whole(row, "usage_output_tokens"),
        "server_tool_use": {"web_search_requests": tables.whole(row, "web_search_count")},
        "speed": row.get("speed") or None,
        "inference_geo": row.get("inference_geo") or None,
    }


_EXPORTS = (
    _Export(
        "openai",
        frozenset({"start_time", "num_model_requests", "model", "input_tokens"}),
        "model",
        ("project_name", "project_id"),
        _openai_start,
        _openai_usage,
    ),
    _Export(
        "anthropic",
        frozenset({"usage_date_utc", "model_version", "usage_input_tokens_no_cache"}),
        "model_version",
        ("workspace",),
        lambda row: iso_ns(row, "usage_date_utc"),
        _anthropic_usage,
    ),
)


def recognises(head: bytes, path: Path) -> bool:
    """Return whether the columns are those of an export."""
    del path
    return any(tables.columns(head) >= export.columns for export in _EXPORTS)


def read(trace: Trace) -> Iterator[Batch | Skipped | Note]:
    """Return every row as a call of one session."""
    columns = tables.columns(trace.data)
    export = next((one for one in _EXPORTS if columns >= one.columns), None)
    if export is None:
        yield Skipped(1, "the columns are not those of OpenAI's or Anthropic's usage export")
        return
    session_id = names.SessionNames(trace.source_id).new(f"{export.provider}-usage")
    agents: dict[str, Agent] = {}
    calls: list[LlmCall] = []
    requests = 0
    for part in tables.read_table(trace):
        if isinstance(part, Skipped):
            yield part
            continue
        line, row = part
        try:
            call = _call(row, export, session_id, len(calls), agents)
        except BadRecordError as error:
            yield Skipped(line, str(error))
            continue
        if call.usage.input_tokens or call.usage.output_tokens:
            calls.append(call)
            requests += int(str(call.request.get("requests", 0)))
    if calls:
        said = f" of {requests:,} requests" if requests else ""
        yield Note(
            f"each of {len(calls)} calls is the total of a period{said}: compare them with "
            f"captured calls by --source {SOURCE}, do not add them up"
        )
        yield Batch(
            Source(trace.source_id, SOURCE, FORMAT, str(trace.path)),
            sessions=(Session(session_id, trace.path.name, calls[0].started_ns),),
            agents=tuple(agents.values()),
            llm_calls=tuple(calls),
        )


def _call(
    row: tables.Row, export: _Export, session_id: str, step: int, agents: dict[str, Agent]
) -> LlmCall:
    project = next((row[column] for column in export.project if row.get(column)), "")
    role = f"{ROLE} {project}".strip()
    agent = Agent(names.agent_id(session_id, role.replace(" ", "-")), session_id, role)
    usage = usage_of(export.usage(row), service_tier=_tier(row))
    started_ns = export.started_ns(row)
    requests = tables.whole(row, "num_model_requests")
    agents[agent.agent_id] = agent
    return LlmCall(
        call_id=names.call_id(session_id, step),
        session_id=session_id,
        agent_id=agent.agent_id,
        step=step,
        usage=usage or Usage(origin="absent", cache_reported=False),
        provider=export.provider,
        model=row.get(export.model) or None,
        started_ns=started_ns,
        request={"requests": requests} if requests else {},
    )


def _tier(row: tables.Row) -> str | None:
    """Return the service tier that a row was billed at."""
    batched = row.get("batch", "").lower() == "true" or row.get("usage_type") == "batch"
    return "batch" if batched else row.get("service_tier") or row.get("usage_type") or None

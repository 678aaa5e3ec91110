"""Tool calls without a span: requested by one call, answered in the prompt of the next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from phasewise_store import reads
from phasewise_store.facts import LlmCall, ToolCall
from phasewise_store.store import Store
from phasewise_store.turns import Asking, SeenTool, StoredTurn

from phasewise_collector.dialects.tool_text import FAILED
from phasewise_collector.dialects.turns import Result, arguments_in, results_in

SLACK_NS = 50_000_000
"""an answer may be handed to the program before the span of its call is closed"""


@dataclass(frozen=True, slots=True)
class ToolBetween:
    """A tool run, and the calls that it stands between."""

    tool: ToolCall
    asker: str
    place: int
    """among the tools that the answer asks for"""
    tool_id: str
    """empty where the API has none"""
    answered_in: str


def between(
    members: Iterable[StoredTurn], asking: Mapping[str, Asking], seen: Iterable[SeenTool]
) -> list[ToolBetween]:
    """Return the tool runs that no span tells of: asked for by one call, answered in the next."""
    ordered = sorted(members, key=lambda turn: (turn.started_ns, turn.call_id))
    by_id = {turn.call_id: turn for turn in ordered}
    spans = list(seen)
    made: dict[str, ToolBetween] = {}
    for turn in ordered:
        earlier = None if turn.after_call is None else by_id.get(turn.after_call)
        asker = None if earlier is None else asking.get(earlier.call_id)
        if earlier is None or asker is None:
            continue
        told = {
            _plain(one.name)
            for one in spans
            if one.session_id == asker.session_id
            and earlier.started_ns <= one.started_ns <= turn.started_ns + SLACK_NS
        }
        for place, (name, tool_id) in enumerate(earlier.asked):
            answered = tool_id in turn.results or name in turn.results or not turn.results
            named = tool_call_id(earlier, place)
            if not answered or _plain(name) in told or named in made:
                continue
            tool = ToolCall(
                tool_call_id=named,
                session_id=asker.session_id,
                agent_id=asker.agent_id,
                name=name,
                started_ns=earlier.ended_ns,
                duration_ns=max(0, turn.started_ns - earlier.ended_ns),
                trace_id=asker.trace_id,
                derived=True,
            )
            made[named] = ToolBetween(tool, earlier.call_id, place, tool_id, turn.call_id)
    return list(made.values())


def with_text(
    store: Store, found: Iterable[ToolBetween], calls: Mapping[str, LlmCall]
) -> list[ToolCall]:
    """Return the tool runs with what the answer asked for, and what the next prompt brings.

    `calls` are those that have just come; the others' text is read from the store.
    """
    asked: dict[str, list[str | None]] = {}
    brought: dict[str, list[Result]] = {}
    made = []
    for one in found:
        if one.asker not in asked:
            call = calls.get(one.asker)
            output = call.output if call and call.output else reads.output(store, one.asker)
            asked[one.asker] = arguments_in(output)
        if one.answered_in not in brought:
            call = calls.get(one.answered_in)
            prompt = call.prompt if call and call.prompt else reads.prompt(store, one.answered_in)
            brought[one.answered_in] = results_in(prompt)
        arguments = asked[one.asker]
        known = one.place < len(arguments)
        result = _result_of(one, brought[one.answered_in])
        made.append(
            replace(
                one.tool,
                arguments=arguments[one.place] if known else None,
                result=None if result is None else result.text,
                error=FAILED if result is not None and result.failed else None,
            )
        )
    return made


def _result_of(one: ToolBetween, brought: list[Result]) -> Result | None:
    """Take the result by the tool's id; by its name where the API has no ids, in their order."""
    for wanted in (one.tool_id, one.tool.name):
        for result in brought:
            if wanted and result.tool_id == wanted:
                brought.remove(result)
                return result
    return None


def tool_call_id(asker: StoredTurn, place: int) -> str:
    """Name the run of a tool by the call that asked for it, and its place among those asked for."""
    return f"{asker.call_id}.{place}"


def _plain(name: str) -> str:
    """Write a tool's name without the spelling of its framework; a hand-over has two words."""
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return plain.removeprefix("handoffto").removeprefix("transferto")

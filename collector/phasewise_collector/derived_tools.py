"""Tool runs that no span tells of: asked for by one call, answered in the next one's prompt."""

from collections.abc import Iterable, Mapping

from phasewise_store.facts import ToolCall
from phasewise_store.turns import Asking, SeenTool, StoredTurn

SLACK_NS = 50_000_000
"""an answer may be handed to the program before the span of its call is closed"""


def between(
    members: Iterable[StoredTurn], asking: Mapping[str, Asking], seen: Iterable[SeenTool]
) -> list[ToolCall]:
    """Give the tool runs that no span tells of: asked for by one call, answered in the next."""
    ordered = sorted(members, key=lambda turn: (turn.started_ns, turn.call_id))
    by_id = {turn.call_id: turn for turn in ordered}
    spans = list(seen)
    made: dict[str, ToolCall] = {}
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
            made[named] = ToolCall(
                tool_call_id=named,
                session_id=asker.session_id,
                agent_id=asker.agent_id,
                name=name,
                started_ns=earlier.ended_ns,
                duration_ns=max(0, turn.started_ns - earlier.ended_ns),
                trace_id=asker.trace_id,
                derived=True,
            )
    return list(made.values())


def tool_call_id(asker: StoredTurn, place: int) -> str:
    """Name the run of a tool by the call that asked for it, and its place among those asked for."""
    return f"{asker.call_id}.{place}"


def _plain(name: str) -> str:
    """Write a tool's name without the spelling of its framework; a hand-over has two words."""
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return plain.removeprefix("handoffto").removeprefix("transferto")

"""Repairs of the tools: sorted by name, or one set for the length of a session."""

from collections.abc import Sequence

from phasewise_store.facts import Segment

from phasewise_analyzer.whatif.layout import Laid, Prompt
from phasewise_analyzer.whatif.moved_spans import Places
from phasewise_analyzer.whatif.prompt_locations import tool_at


def sorted_by_name(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Sort the tools of the agents that findings name."""
    return tuple(
        one.with_prompt(_sorted(one.prompt)) if one.agent in places else one for one in calls
    )


def constant(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Return every call of a session and agent all tools that one of them has, first come first.

    A tool that is defined anew in the session has its first definition throughout.
    """
    sets: dict[tuple[str, str], dict[str, Segment]] = {}
    for one in calls:
        if one.agent in places:
            known = sets.setdefault((one.call.session_id, one.agent), {})
            for segment in one.prompt:
                if segment.kind == "tool":
                    known.setdefault(tool_at(segment), segment)
    laid = []
    for one in calls:
        whole = sets.get((one.call.session_id, one.agent))
        if whole and any(part.kind == "tool" for part in one.prompt):
            rest = (part for part in one.prompt if part.kind != "tool")
            laid.append(one.with_prompt((*whole.values(), *rest)))
        else:
            laid.append(one)
    return tuple(laid)


def _sorted(prompt: Prompt) -> Prompt:
    tools = (part for part in prompt if part.kind == "tool")
    rest = (part for part in prompt if part.kind != "tool")
    return (*sorted(tools, key=lambda one: (tool_at(one), one.digest)), *rest)

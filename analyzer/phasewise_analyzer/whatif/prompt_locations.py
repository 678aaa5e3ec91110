"""Find the place of a finding in a prompt, such as `system[0]` or `tool:search`."""

import re
from collections.abc import Sequence
from itertools import takewhile

from phasewise_store.facts import Segment

from phasewise_analyzer.breaks.facts import Finding
from phasewise_analyzer.diagnosis.parts import parsed, tool_name

_NUMBERED = re.compile(r"(tools|system|messages)\[(\d+)\]")


def tool_at(segment: Segment) -> str:
    """Return the name of a tool's definition; of one known by its hash alone, the hash."""
    return tool_name(parsed(segment.content or b"")) or segment.digest.hex()


def index(prompt: Sequence[Segment], place: str) -> int | None:
    """Return the index of the segment at a place; None where the prompt has none."""
    if place.startswith("tool:"):
        name = place.removeprefix("tool:")
        return next(
            (at for at, one in enumerate(prompt) if one.kind == "tool" and tool_at(one) == name),
            None,
        )
    found = _NUMBERED.match(place)
    if found is None:
        return None
    number = int(found[2])
    if found[1] == "messages":
        head = sum(1 for _ in takewhile(lambda one: one.kind in ("tool", "system"), prompt))
        return head + number if head + number < len(prompt) else None
    kind = "tool" if found[1] == "tools" else "system"
    of_kind = [at for at, one in enumerate(prompt) if one.kind == kind]
    return of_kind[number] if number < len(of_kind) else None


def by_agent(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Return the places of each agent's findings, each once."""
    found: dict[str, list[str]] = {}
    for one in findings:
        places = found.setdefault(one.agent, [])
        if one.place not in places:
            places.append(one.place)
    return found

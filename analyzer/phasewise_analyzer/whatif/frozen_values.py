"""Repair: replace the text at a place by its first value in the session."""

from collections.abc import Sequence

from phasewise_store.facts import Segment

from phasewise_analyzer.whatif.layout import Laid
from phasewise_analyzer.whatif.moved_spans import Places
from phasewise_analyzer.whatif.prompt_locations import index


def frozen(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Send at each place what the session's first call of the agent had there."""
    first: dict[tuple[str, str, str], Segment] = {}
    return tuple(_frozen(one, places.get(one.agent, ()), first) for one in calls)


def _frozen(one: Laid, places: Sequence[str], first: dict[tuple[str, str, str], Segment]) -> Laid:
    prompt = list(one.prompt)
    for place in places:
        at = index(prompt, place)
        if at is not None:
            kept = first.setdefault((one.call.session_id, one.agent, place), prompt[at])
            if (kept.kind, kept.role) == (prompt[at].kind, prompt[at].role):
                prompt[at] = kept
    return one.with_prompt(tuple(prompt))

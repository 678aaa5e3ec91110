"""Repair: move what changes out of the prefix to the end of the last user message.

At each place of a finding, the texts of an agent's calls are compared; what all of them share
stays. The rest goes to the end of the call's last user message, and stays there when the message is
sent again in a longer history, as with an agent that appends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phasewise_store.facts import Segment

from phasewise_analyzer.whatif import json_strings, template
from phasewise_analyzer.whatif.json_strings import Path
from phasewise_analyzer.whatif.layout import Laid, Prompt
from phasewise_analyzer.whatif.prompt_locations import index

LEAST_SHARED = 0.5
"""share of a text that its template must hold: less, and the texts are different ones"""

Places = Mapping[str, Sequence[str]]
"""by agent, the places of findings"""


@dataclass(frozen=True, slots=True)
class _Parted:
    """A segment without what changes, and what that was."""

    segment: Segment
    own: str


def moved(calls: Sequence[Laid], places: Places) -> tuple[Laid, ...]:
    """Move the spans of all calls."""
    parted = _part(calls, places)
    attached: dict[tuple[str, int, bytes], str] = {}
    return tuple(_moved(one, places.get(one.agent, ()), parted, attached) for one in calls)


def _moved(
    one: Laid,
    places: Sequence[str],
    parted: Mapping[tuple[str, str, bytes], _Parted],
    attached: dict[tuple[str, int, bytes], str],
) -> Laid:
    prompt = list(one.prompt)
    own = []
    for place in places:
        at = index(one.prompt, place)
        found = None if at is None else parted.get((one.agent, place, one.prompt[at].digest))
        if at is not None and found is not None:
            prompt[at] = found.segment
            if found.own:
                own.append(found.own)
    return one.with_prompt(_attach(one, prompt, "\n".join(own), attached))


def _attach(
    one: Laid,
    prompt: list[Segment],
    text: str,
    attached: dict[tuple[str, int, bytes], str],
) -> Prompt:
    """Append the text to the last user message, and earlier texts to theirs."""
    users = [at for at, part in enumerate(one.prompt) if part.role == "user"]
    users = users or [len(prompt) - 1]
    for at in users:
        key = (one.call.agent_id, at, one.prompt[at].digest)
        if at == users[-1]:
            attached.setdefault(key, text)
        if attached.get(key):
            prompt[at] = json_strings.with_more(prompt[at], attached[key])
    return tuple(prompt)


def _part(calls: Sequence[Laid], places: Places) -> dict[tuple[str, str, bytes], _Parted]:
    """Part the segments at the places, by agent, place and digest."""
    seen: dict[tuple[str, str], dict[bytes, Segment]] = {}
    for one in calls:
        for place in places.get(one.agent, ()):
            at = index(one.prompt, place)
            if at is not None and one.prompt[at].content is not None:
                segment = one.prompt[at]
                seen.setdefault((one.agent, place), {})[segment.digest] = segment
    return {
        (agent, place, digest): parted
        for (agent, place), segments in seen.items()
        for digest, parted in _part_segments(segments).items()
    }


def _part_segments(segments: Mapping[bytes, Segment]) -> dict[bytes, _Parted]:
    """Part segments that stand in one place; those with other fields are apart."""
    forms: dict[tuple[Path, ...], dict[bytes, dict[Path, str]]] = {}
    for digest, segment in segments.items():
        found = json_strings.strings(segment)
        forms.setdefault(tuple(found), {})[digest] = found
    parted: dict[bytes, _Parted] = {}
    for paths, texts in forms.items():
        changed: dict[bytes, dict[Path, str]] = {digest: {} for digest in texts}
        own: dict[bytes, list[str]] = {digest: [] for digest in texts}
        for path in paths:
            of_path = {digest: strings[path] for digest, strings in texts.items()}
            for digest, (stays, moves) in _part_texts(of_path).items():
                changed[digest][path] = stays
                own[digest] += moves
        for digest in texts:
            segment = json_strings.with_strings(segments[digest], changed[digest])
            parted[digest] = _Parted(segment, "; ".join(own[digest]))
    return parted


def _part_texts(texts: Mapping[bytes, str]) -> dict[bytes, tuple[str, list[str]]]:
    """Return for each text that has something of its own what stays and what moves."""
    found: dict[bytes, tuple[str, list[str]]] = {}
    groups = template.templates(tuple(texts.values()), LEAST_SHARED)
    of_text = {text: shared for shared, members in groups if len(members) > 1 for text in members}
    for digest, text in texts.items():
        shared = of_text.get(text)
        if shared is not None:
            found[digest] = "".join(shared), template.own_stretches(text, shared)
    return found

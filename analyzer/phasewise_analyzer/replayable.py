"""How well a call can be replayed: from 0, not at all, to 1, exactly as recorded; with the reasons.

Each gap has a factor: score = product of the factors of all gaps found. `changes` lists what
`chat_messages` changes so that an engine accepts the prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl
from phasewise_store import reads
from phasewise_store.facts import Segment
from phasewise_store.prompt_paths import PromptPaths
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from phasewise_analyzer.chat_messages.facts import Changes, in_words, loses
from phasewise_analyzer.chat_messages.normalise import Normaliser

GAPS: Mapping[str, tuple[float, str]] = {
    "no prompt": (0.0, "the prompt is not known"),
    "hashes only": (
        0.5,
        "only hashes of the prompt are known: lengths and reuse, but no text",
    ),
    "dropped": (
        0.2,
        "the sender's SDK dropped attributes, the oldest messages first; raise its limit of "
        "attributes per span (phasewise.init() does)",
    ),
    "truncated": (0.2, "the sender truncated text"),
    "events": (0.7, "the prompt was rebuilt from events"),
    "flattened": (0.8, "the prompt was rebuilt from flattened attributes"),
    "messages": (
        0.9,
        "the prompt was rebuilt from a convention's messages, and is not the exact request",
    ),
    "changed": (0.95, "an engine does not accept the whole prompt as recorded"),
    "no tools": (0.7, "tools were called, but their definitions are not known"),
    "no usage": (0.8, "token counts are not known"),
    "estimated usage": (0.9, "token counts are estimates; use include_usage when streaming"),
    "no model": (0.9, "the model is not known"),
}
"""name -> factor and text, in the order of the list on the page"""


@dataclass(frozen=True, slots=True)
class Replayable:
    """A call's score with its reasons."""

    score: float
    gaps: tuple[str, ...] = ()
    """names in GAPS"""
    changes: Changes = field(default_factory=dict)
    """what is changed before the prompt is sent to an engine"""

    @property
    def changed(self) -> tuple[str, ...]:
        """Return what is changed, as text."""
        return in_words(self.changes)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return what is missing, as text."""
        return tuple(GAPS[gap][1] for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a prompt is made of."""

    known: bool
    has_text: bool = True
    has_tools: bool = False
    has_tool_results: bool = False
    changes: Changes = field(default_factory=dict)
    """what an engine does not take as it is"""


def score(call: Mapping[str, object], prompt: Prompt) -> Replayable:
    """Score one row of `reads.llm_calls`."""
    fidelity = call["fidelity"]
    called = call["finish_reason"] in ("tool_calls", "tool_use", "function_call")
    found = {
        "no prompt": not prompt.known,
        "hashes only": prompt.known and not prompt.has_text,
        "dropped": bool(call["dropped_attributes"]),
        "truncated": bool(call["truncated"]),
        "events": prompt.known and fidelity == "events",
        "flattened": prompt.known and fidelity == "flattened",
        "messages": prompt.known and fidelity == "messages",
        "changed": loses(prompt.changes),
        "no tools": prompt.known
        and prompt.has_text
        and not prompt.has_tools
        and (called or prompt.has_tool_results),
        "no usage": call["usage_origin"] == "absent",
        "estimated usage": call["usage_origin"] == "estimated",
        "no model": call["model"] is None,
    }
    gaps = tuple(gap for gap in GAPS if found[gap])
    worth = 1.0
    for gap in gaps:
        worth *= GAPS[gap][0]
    return Replayable(round(worth, 3), gaps, prompt.changes)


def of_prompt(call: Mapping[str, object], parts: Sequence[Segment]) -> Replayable:
    """Score one row of `reads.llm_calls`, whose prompt has these segments."""
    return score(call, _prompt(parts, Normaliser()))


def of_session(store: Store, session_id: str) -> dict[str, Replayable]:
    """Score every call of a session, by call id."""
    return of_calls(store, reads.llm_calls(store, Scope(session_id=session_id)))


def of_calls(
    store: Store, calls: pl.DataFrame, *, most_nodes: int | None = None
) -> dict[str, Replayable]:
    """Score some calls (rows of `reads.llm_calls`), by call id.

    None of them where their prompts are longer than so many nodes together.
    """
    reader = PromptPaths(store)
    paths: dict[str, list[int]] = {}
    nodes = 0
    for call_id, leaf in calls.select("call_id", "leaf_node").iter_rows():
        paths[call_id] = [node.segment_id for node in reader.path(leaf)]
        nodes += len(paths[call_id])
        if most_nodes is not None and nodes > most_nodes:
            return {}
    parts = reads.segments(store, {number for path in paths.values() for number in path})
    normaliser = Normaliser()
    return {
        call["call_id"]: score(
            call, _prompt([parts[number] for number in paths[call["call_id"]]], normaliser)
        )
        for call in calls.iter_rows(named=True)
    }


def _prompt(parts: Sequence[Segment], normaliser: Normaliser) -> Prompt:
    """Return what a prompt is made of, and what of it an engine does not take as it is."""
    prompt = Prompt(
        known=bool(parts),
        has_text=all(part.content is not None for part in parts),
        has_tools=any(part.kind == "tool" for part in parts),
        has_tool_results=any(part.role == "tool" for part in parts),
    )
    is_chat = prompt.known and prompt.has_text and all(part.kind != "text" for part in parts)
    if not is_chat:
        return prompt
    return replace(prompt, changes=normaliser.prompt(parts).changes)

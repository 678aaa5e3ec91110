"""How well a call could be sent again: 1 is exactly as it was, 0 is not at all, and why.

Each loss takes a factor: score = product of the factors of all gaps found.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from phasewise_store import reads
from phasewise_store.reads import PathNode
from phasewise_store.scope import Scope
from phasewise_store.store import Store
from phasewise_store.trie import ROOT

GAPS: Mapping[str, tuple[float, str]] = {
    "no prompt": (0.0, "the prompt is not known"),
    "hashes only": (
        0.5,
        "only hashes of the prompt are known: its lengths and reuse, not its text",
    ),
    "dropped": (
        0.2,
        "the sender's SDK dropped attributes, the oldest messages first; raise its limit of "
        "attributes a span (phasewise.init() does)",
    ),
    "truncated": (0.2, "the sender cut text short"),
    "events": (0.7, "the prompt was put together from events"),
    "flattened": (0.8, "the prompt was rebuilt from flattened attributes"),
    "messages": (0.9, "the prompt was rebuilt from a convention's messages, not kept as sent"),
    "no tools": (0.7, "tools were called, and their definitions are not known"),
    "no usage": (0.8, "no token counts are known"),
    "estimated usage": (0.9, "token counts are estimates; stream with include_usage"),
    "no model": (0.9, "the model is not known"),
}
"""name -> factor and what a person reads; the order is that of the list on the page"""


@dataclass(frozen=True, slots=True)
class Replayable:
    """A call's score with its reasons."""

    score: float
    gaps: tuple[str, ...] = ()
    """names in GAPS"""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say what is missing, in words."""
        return tuple(GAPS[gap][1] for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a prompt is made of."""

    known: bool
    has_text: bool = True
    has_tools: bool = False
    has_tool_results: bool = False


def score(call: Mapping[str, object], prompt: Prompt) -> Replayable:
    """Judge one row of `reads.llm_calls`."""
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
    return Replayable(round(worth, 3), gaps)


def of_session(store: Store, session_id: str) -> dict[str, Replayable]:
    """Judge every call of a session, by its id."""
    prompts = _prompts(reads.paths(store, session_id))
    calls = reads.llm_calls(store, Scope(session_id=session_id))
    return {
        call["call_id"]: score(call, prompts.get(call["leaf_node"], Prompt(known=False)))
        for call in calls.iter_rows(named=True)
    }


def _prompts(nodes: Mapping[int, PathNode]) -> dict[int, Prompt]:
    """Give what the prompt that ends at each node is made of."""
    done: dict[int, Prompt] = {}
    for leaf in nodes:
        path = []
        node = leaf
        while node != ROOT and node not in done and node in nodes:
            path.append(node)
            node = nodes[node].parent_id
        above = done.get(node, Prompt(known=True, has_text=True))
        for one in reversed(path):
            here = nodes[one]
            above = Prompt(
                known=True,
                has_text=above.has_text and here.has_text,
                has_tools=above.has_tools or here.kind == "tool",
                has_tool_results=above.has_tool_results or here.role == "tool",
            )
            done[one] = above
    return done

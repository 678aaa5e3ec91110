"""How stable a block is, and why it should move, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from phasewise_analyzer.structure.facts import ORDER, Block, Stability

from phasewise_reports.words import count, tokens

STABILITIES: Mapping[Stability, str] = {
    "static": "the same in all sessions",
    "session": "the same within a session",
    "history": "grows",
    "call": "changes within a session",
}
_CHANGES: Mapping[Stability, str] = {
    "static": "never changes",
    "session": "is another one in each session",
    "history": "grows",
    "call": "changes from call to call",
}
_TO: Mapping[Stability, str] = {
    "static": "to the front",
    "session": "behind all that sessions have in common",
    "history": "behind the template",
    "call": "behind the history, into the last message",
}
EXAMPLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Move:
    """One block that should stand elsewhere."""

    label: str
    example: str
    """how the last call's begins"""
    why: str
    """what it does, and what stands behind it for nothing; follows the label"""
    to: str
    """where it should stand; follows `move it`"""
    harmed_tokens: int
    """of a call, that stand behind it and change less"""


def moves(blocks: Sequence[Block]) -> tuple[Move, ...]:
    """Say of each block that should move why and where to; what harms most tokens first."""
    return tuple(sorted(_moves(blocks), key=lambda one: one.harmed_tokens, reverse=True))


def _moves(blocks: Sequence[Block]) -> Iterator[Move]:
    for place, block in enumerate(blocks):
        if not block.should_move:
            continue
        rank = ORDER.index(block.stability)
        harmed = [one for one in blocks[place + 1 :] if ORDER.index(one.stability) < rank]
        size = sum(one.tokens for one in harmed)
        if len(harmed) == 1:
            stand = f"one block of {tokens(size)} tokens that changes less stands"
        else:
            stand = f"{count(len(harmed))} blocks of {tokens(size)} tokens that change less stand"
        yield Move(
            label=block.label,
            example=_cut(block.text),
            why=f"{_CHANGES[block.stability]} ({count(block.values)} values), and {stand} behind "
            "it",
            to=_TO[block.stability],
            harmed_tokens=size,
        )


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARACTERS else f"{text[:EXAMPLE_CHARACTERS].rstrip()}…"

"""Texts for how stable a block is and why it should move."""

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
    "session": "differs from session to session",
    "history": "grows",
    "call": "changes from call to call",
}
_TO: Mapping[Stability, str] = {
    "static": "to the front",
    "session": "after everything that all sessions share",
    "history": "after the template",
    "call": "after the history, into the last message",
}
EXAMPLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Move:
    """One block that should move."""

    label: str
    example: str
    """how the block starts in the last call"""
    why: str
    """how it changes, and which blocks after it lose their cache hits; follows the label"""
    to: str
    """where it should go; follows `move it`"""
    harmed_tokens: int
    """tokens per call that come after it and change less"""


def moves(blocks: Sequence[Block]) -> tuple[Move, ...]:
    """Return why and where each block should move, the most harmful first."""
    return tuple(sorted(_moves(blocks), key=lambda one: one.harmed_tokens, reverse=True))


def _moves(blocks: Sequence[Block]) -> Iterator[Move]:
    for place, block in enumerate(blocks):
        if not block.should_move:
            continue
        rank = ORDER.index(block.stability)
        harmed = [one for one in blocks[place + 1 :] if ORDER.index(one.stability) < rank]
        size = sum(one.tokens for one in harmed)
        if len(harmed) == 1:
            follow = f"one block of {tokens(size)} tokens that changes less often comes"
        else:
            follow = (
                f"{count(len(harmed))} blocks of {tokens(size)} tokens that change less often come"
            )
        yield Move(
            label=block.label,
            example=_cut(block.text),
            why=f"{_CHANGES[block.stability]} ({count(block.values)} values), and {follow} "
            "after it",
            to=_TO[block.stability],
            harmed_tokens=size,
        )


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARACTERS else f"{text[:EXAMPLE_CHARACTERS].rstrip()}…"

"""The result of `structure.lay_out`: an agent's prompt block by block."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Stability = Literal["static", "session", "call", "history"]
"""static: the same in all sessions; session: the same within each; call: changes within one;
history: the messages behind, which grow"""

ORDER: tuple[Stability, ...] = ("static", "session", "history", "call")
"""how blocks should stand: what changes least first; what changes with each call behind it all"""


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch of the prompt that is equally stable throughout."""

    tier: str
    """tools, system, messages"""
    label: str
    """the tool's name, or which part of which system block or message"""
    stability: Stability
    text: str
    """its beginning, as the last call sent it; empty where only hashes are known"""
    values: int
    """how many different ones were sent"""
    calls: int
    """that sent it"""
    tokens: int
    """of a call, on average"""
    sent_tokens: int
    """by all calls"""
    resent_tokens: int
    """of them, sent before in the same words, and yet behind something that had changed"""
    usd_here: Decimal | None
    """what the sent tokens cost where the block stands, if the cache keeps all it can"""
    usd_there: Decimal | None
    """what they would cost where the block should stand"""
    should_move: bool
    """whether something more stable stands behind it"""


@dataclass(frozen=True, slots=True)
class Structure:
    """One agent's prompt, in the order in which it is sent."""

    agent: str
    calls: int
    sessions: int
    blocks: tuple[Block, ...]
    months: float | None
    """that the trace spans, of 30 days each; None where there are no times or less than a day"""
    usd_here: Decimal | None
    usd_there: Decimal | None
    """sums over the blocks"""
    hidden: bool
    """whether only hashes of the prompts are known: then nothing can be laid out"""

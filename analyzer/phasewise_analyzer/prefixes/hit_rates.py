"""Hit rates in the three definitions that are in use; they differ, so they are shown together.

    token_weighted = shared tokens / prompt tokens
    block_weighted = shared whole blocks / blocks
    mean_of_calls  = mean over the calls of shared tokens / prompt tokens

Only calls whose prompt is known count. In text a block is sixteen tokens, and the tokens behind a
prompt's last whole block are that fraction of a block; a trace of block hashes has its own blocks,
the partial one at the end included.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.prefixes.prefix_tree import TEXT_BLOCK_TOKENS, PrefixTree

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


SHARE_UNITS = 10**9
"""shares of single calls are whole numbers of these: their sum does not depend on its order"""


@dataclass(frozen=True, slots=True)
class HitRates:
    """One hit rate in three definitions; each in [0, 1]."""

    token_weighted: float
    block_weighted: float
    mean_of_calls: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens and blocks of some calls, one entry a call: of prompts, or of what they share."""

    tokens: Ints
    """in the units of the reported input, even where the text alone would give another count"""
    blocks: Floats

    def slice(self, start: int, end: int) -> "Tokens":
        """Return some of the calls."""
        return Tokens(self.tokens[start:end], self.blocks[start:end])


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sum over the prompts of some calls."""

    calls: int
    """with a prompt"""
    tokens: int
    blocks: float


@dataclass(frozen=True, slots=True)
class Shared:
    """The sum over what the prompts of some calls share."""

    tokens: int
    blocks: int
    share: int
    """sum of each call's share, in units of 1 / `SHARE_UNITS`"""


def prompts(tree: PrefixTree, input_tokens: Ints, block_tokens: Ints) -> Tokens:
    """Return the size of each prompt; nothing where no prompt is known.

    `input_tokens` is what the source reports, 0 where it does not: then the text is the estimate.
    `block_tokens` is 0 where the prompt is text.
    """
    known = tree.leaf >= 0
    text = _at(tree.tokens_end, tree.leaf)
    blocks = _at(tree.blocks_end, tree.leaf)
    hashed = block_tokens > 0
    estimate = np.where(hashed, blocks * block_tokens, text)
    return Tokens(
        np.where(known, np.where(input_tokens > 0, input_tokens, estimate), 0),
        np.where(hashed, blocks, text / TEXT_BLOCK_TOKENS),
    )


def shared(
    tree: PrefixTree, whole: Tokens, block_tokens: Ints, node: npt.NDArray[np.int32]
) -> Tokens:
    """Return what each prompt shares, down to `node` (-1: nothing).

    Shared text is scaled from the text's estimate to the size of the whole prompt.
    """
    blocks = _at(tree.blocks_end, node)
    text = np.maximum(_at(tree.tokens_end, tree.leaf), 1)
    tokens = np.where(
        block_tokens > 0,
        np.minimum(blocks * block_tokens, whole.tokens),
        _at(tree.tokens_end, node) * whole.tokens // text,
    )
    return Tokens(tokens, blocks.astype(np.float64))


def shares(whole: Ints, part: Ints) -> Ints:
    """Return the share of `part` in `whole` of each call, in units of 1 / `SHARE_UNITS`."""
    return np.rint(part / np.maximum(whole, 1) * SHARE_UNITS).astype(np.int64)


def rates(whole: Sizes, part: Shared) -> HitRates:
    """Return the share of `part` in `whole` in the three definitions; 0 where there is nothing."""
    return HitRates(
        token_weighted=_ratio(part.tokens, whole.tokens),
        block_weighted=_ratio(part.blocks, whole.blocks),
        mean_of_calls=_ratio(part.share / SHARE_UNITS, whole.calls),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _at(ends: Ints, node: npt.NDArray[np.int32]) -> Ints:
    """Return the ends at these nodes; 0 at the root."""
    return np.append(ends, 0)[node]

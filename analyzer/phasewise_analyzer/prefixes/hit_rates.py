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

    def at(self, rows: npt.NDArray[np.intp]) -> "Tokens":
        """Give some of the calls."""
        return Tokens(self.tokens[rows], self.blocks[rows])


def prompts(tree: PrefixTree, input_tokens: Ints, block_tokens: Ints) -> Tokens:
    """Give the size of each prompt; nothing where no prompt is known.

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
    """Give what each prompt shares, down to `node` (-1: nothing).

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


def rates(whole: Tokens, part: Tokens) -> HitRates:
    """Give the share of `part` in `whole` in the three definitions; 0 where there is nothing."""
    some = whole.tokens > 0
    each = part.tokens[some] / whole.tokens[some]
    return HitRates(
        token_weighted=_ratio(float(part.tokens.sum()), float(whole.tokens.sum())),
        block_weighted=_ratio(float(part.blocks.sum()), float(whole.blocks.sum())),
        mean_of_calls=float(each.mean()) if len(each) else 0.0,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _at(ends: Ints, node: npt.NDArray[np.int32]) -> Ints:
    """Give the ends at these nodes; 0 at the root."""
    return np.append(ends, 0)[node]

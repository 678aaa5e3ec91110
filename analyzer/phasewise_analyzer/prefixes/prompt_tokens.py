"""Tokens of any part of a prompt, in the units of the model that read it; breaks and caches use it.

Made of `token_estimates`, for each model by itself: a tokenizer is a model's own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from phasewise_analyzer.prefixes import token_estimates
from phasewise_analyzer.prefixes.prefix_tree import PrefixTree
from phasewise_analyzer.prefixes.token_estimates import MOST_TAIL_TOKENS, TextTokens

Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]

KNOWN_ORIGINS = ("reported", "recovered")
"""of usage whose totals are the provider's own"""


class PromptTokens:
    """The tokens of some calls' prompts, whole and in part."""

    def __init__(
        self, calls: pl.DataFrame, tree: PrefixTree, own: Mapping[str, TextTokens] | None = None
    ) -> None:
        """Take calls and their tree; `own` is what models' own tokenizers count in it."""
        self._leaf = tree.leaf
        groups = calls.select(
            group=pl.struct("provider", "model", pl.col("block_tokens").fill_null(0)).rank("dense")
            - 1
        )["group"]
        self._group = groups.to_numpy().astype(np.int64)
        block_tokens = calls["block_tokens"].fill_null(0).to_numpy()
        known = calls["usage_origin"].is_in(KNOWN_ORIGINS).to_numpy()
        reported = np.where(known, calls["input_tokens"].to_numpy() - _tail(calls), 0)
        self._measured = []
        for number in range(int(self._group.max(initial=-1)) + 1):
            rows = np.flatnonzero(self._group == number)
            self._measured.append(
                token_estimates.measure(
                    tree,
                    tree.leaf[rows],
                    reported[rows].astype(np.int64),
                    block_tokens=int(block_tokens[rows[0]]),
                    text=(own or {}).get(calls["model"][int(rows[0])]),
                )
            )
        at_leaf = self.at(np.arange(calls.height), tree.leaf)
        self.whole: Ints = np.where(
            calls["input_tokens"].to_numpy() > 0, calls["input_tokens"].to_numpy(), at_leaf
        ).astype(np.int64)
        """[calls] tokens of the whole prompt: as reported, else estimated"""

    def at(self, rows: npt.NDArray[np.intp], node: Nodes) -> Ints:
        """Give the tokens from the root to a node, for each of these calls; 0 at the root."""
        return self._read(rows, node, "tokens")

    def bounds(self, rows: npt.NDArray[np.intp], node: Nodes) -> tuple[Ints, Ints]:
        """Give the interval of the same."""
        return self._read(rows, node, "low"), self._read(rows, node, "high")

    def along(self, row: int, nodes: Sequence[int]) -> list[int]:
        """Give the tokens from the root to each of some nodes, for one call."""
        found: list[int] = self._measured[self.group(row)].tokens[list(nodes)].tolist()
        return found

    def group(self, row: int) -> int:
        """Give the number of those calls whose tokens are counted as this one's."""
        return int(self._group[row])

    @property
    def interval(self) -> float:
        """Give the width of all intervals as a share of all tokens, over all places of prompts."""
        passed = [(one, one.tokens >= 0) for one in self._measured]
        width = sum(int((one.high - one.low)[here].sum()) for one, here in passed)
        return width / max(1, sum(int(one.tokens[here].sum()) for one, here in passed))

    @property
    def rate(self) -> float:
        """Give the tokens per counted (or estimated) token of the text, where most is reported."""
        return max(self._measured, key=lambda one: one.anchors).rate if self._measured else 1.0

    def _read(self, rows: npt.NDArray[np.intp], node: Nodes, name: str) -> Ints:
        found = np.zeros(len(rows), dtype=np.int64)
        for number, measured in enumerate(self._measured):
            here = (self._group[rows] == number) & (node >= 0)
            found[here] = getattr(measured, name)[node[here]]
        return found


def _tail(calls: pl.DataFrame) -> Ints:
    """Give the tokens that stand behind a prompt's last breakpoint.

    Where a provider charges for writes and nearly all of a prompt was read or written, the few
    tokens left over are the template's: the next prompt does not start with them.
    """
    written = calls["cache_write_5m_tokens"] + calls["cache_write_1h_tokens"]
    left = calls["uncached_tokens"]
    return np.where(((written > 0) & (left <= MOST_TAIL_TOKENS)).to_numpy(), left.to_numpy(), 0)

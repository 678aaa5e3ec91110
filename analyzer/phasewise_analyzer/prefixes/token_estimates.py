"""Tokens at every node of the prefix tree in the provider's own units, without its tokenizer.

Every call reports the exact total of its prompt, and agents send their prompts again with more
behind: the node where a call ends is an anchor, and only the stretches between anchors are left to
the text estimate. Between two anchors the tokens per estimated token are taken to wander at random
around the rate of this data, so that a node's tokens have a mean and an interval: the tree is
smoothed like a path is by Kalman's method, from the leaves to the root and back. At an anchor the
interval is the reported total itself; it is widest half way between anchors.

What a chat template or hidden tools add in front of the text and behind it (the generation prompt)
stands in every total alike: totals show the sum of both only, so it is one `overhead_tokens`, put
in front; a small one may be the tail, and the interval holds both. A tail is sent again with the
next prompt wherever that goes on with the answer. Blocks known by their hash (`block_tokens` > 0)
are exact by themselves.

Where the model's tokenizer is at hand (`own_tokenizer`), its counts take the estimates' place. What
is left is what the template adds to each segment; that is fitted, and the intervals close.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.prefixes.prefix_tree import PrefixTree

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Nodes = npt.NDArray[np.int32]

USUAL_RATE = 1.0
"""tokens per estimated token where the data does not say"""
USUAL_SPREAD = 1.6
"""tokens: how far one estimated token strays, where the data does not say (see `_learn`)"""
OWN_SPREAD = 0.2
"""the same of a token that the model's own tokenizer counted: templates are not regular"""
LEAST_SPREAD = 0.02
"""of a token, where all deltas fit: what is no anchor stays a little uncertain"""
FEWEST_DELTAS = 8
"""below this many anchored deltas, the usual values are held to"""
COVERAGE = 0.95
"""of nodes whose tokens should lie in their interval"""
LEAST_PLAUSIBLE = 0.25
"""a total of less than this share of what its text suggests leaves the cached tokens out"""
SHORTEST_DELTA = 32
"""estimated tokens; in less the edges of words are more than the rate"""
NEAR_TOKENS = 3
"""a half interval that is as good as an anchor when the rate is learned"""
EDGE_TOKENS = 1.0
"""a tokenizer may join the two sides of the place where a prefix ends"""
MOST_TAIL_TOKENS = 32
"""a template's own tokens behind the last message are fewer"""
_NOTHING = np.inf
"""variance of what no anchor says anything about"""


@dataclass(frozen=True, slots=True)
class NodeTokens:
    """Tokens from the root to each node's end; -1 at nodes that none of the calls passes."""

    tokens: Ints
    """[nodes] never less than at the parent"""
    low: Ints
    high: Ints
    """[nodes] equal to `low` where a call ends; wider if calls that end there differ"""
    overhead_tokens: float
    """in every total, and not in the text"""
    rate: float
    """tokens per estimated token"""
    anchors: int
    """nodes with a reported total"""


@dataclass(frozen=True, slots=True)
class TextTokens:
    """What the model's own tokenizer counts in the texts alone."""

    tokens_end: Ints
    """[nodes] from the root"""
    segments_end: Ints
    """[nodes] segments that end at or before this node's end"""


@dataclass(frozen=True, slots=True)
class _Shape:
    """The tree by depth: the passes over it go a level at a time."""

    parent: Nodes
    levels: list[npt.NDArray[np.intp]]

    @classmethod
    def of(cls, parent: Nodes) -> "_Shape":
        """Sort the nodes by depth, which comes by doubling the reach of each node."""
        above = np.append(parent, -1)
        depth = (above >= 0).astype(np.int32)
        while (above >= 0).any():
            depth, above = depth + depth[above], above[above]
        order = np.argsort(depth[:-1], kind="stable")
        levels = np.split(order, np.flatnonzero(np.diff(depth[order])) + 1)
        return cls(parent, levels)

    def passed(self, leaf: Nodes) -> npt.NDArray[np.bool_]:
        """Mark the nodes between the root and a leaf."""
        passed = np.zeros(len(self.parent) + 1, dtype=np.bool_)
        passed[leaf] = True
        for level in reversed(self.levels):
            passed[self.parent[level][passed[level]]] = True
        return passed[:-1]

    def anchor_above(self, anchored: npt.NDArray[np.bool_]) -> Nodes:
        """Return the nearest anchor above each node, -1 where there is none."""
        above = np.full(len(self.parent) + 1, -1, dtype=np.int32)
        anchored = np.append(anchored, False)
        for level in self.levels:
            up = self.parent[level]
            above[level] = np.where(anchored[up], up, above[up])
        return above[:-1]

    def least_below(self, values: Floats) -> Floats:
        """Return the least value at each node or below it."""
        least = np.append(values, np.inf)
        for level in reversed(self.levels):
            np.minimum.at(least, self.parent[level], least[level])
        return least[:-1]

    def most_above(self, values: Floats) -> Floats:
        """Return the largest value at each node or above it."""
        most = np.append(values, -np.inf)
        for level in self.levels:
            most[level] = np.maximum(most[level], most[self.parent[level]])
        return most[:-1]


def measure(
    tree: PrefixTree,
    leaf: Nodes,
    reported: Ints,
    *,
    block_tokens: int = 0,
    text: TextTokens | None = None,
) -> NodeTokens:
    """Return the tokens at every node that these calls pass.

    The calls are those of one model (one tokenizer): `leaf` is each call's node, -1 where no prompt
    is known, and `reported` its input tokens, 0 where nothing was reported. `text` is what its
    tokenizer counts, where that is at hand.
    """
    shape = _Shape.of(tree.parent)
    passed = shape.passed(leaf)
    low, high = _reported(len(tree.parent), leaf, reported)
    if block_tokens > 0:
        learned = _Learned(1.0, 0.0, 0.0, 0.0)
        rows = _blocks(tree, low, high, block_tokens)
    else:
        usual = USUAL_SPREAD if text is None else OWN_SPREAD
        sizes = tree.tokens_end if text is None else _templated(shape, text, (low + high) / 2)
        estimate = np.append(sizes, 0).astype(np.float64)
        learned = _learn(shape, estimate, (low + high) / 2, usual)
        wrong = (low + high) / 2 < LEAST_PLAUSIBLE * learned.rate * estimate[:-1]
        low[wrong] = high[wrong] = np.nan
        middle = (low + high) / 2
        learned = _learn(shape, estimate, middle, usual)
        # a prompt that ends within a word of where others go on is not above them, but as good as
        # an anchor: with those, the deltas are many more
        mean, variance = _smooth(shape, estimate, middle, learned)
        near = np.where(variance <= NEAR_TOKENS**2, mean, np.nan)
        learned = _learn(shape, estimate, near, usual)
        rows = _interval(shape, _smooth(shape, estimate, middle, learned), low, high, learned.tail)
    least, tokens, most = (np.where(passed, row, -1).astype(np.int64) for row in rows)
    anchors = int(np.isfinite(low).sum())
    return NodeTokens(tokens, least, most, learned.overhead, learned.rate, anchors)


@dataclass(frozen=True, slots=True)
class _Learned:
    """What the anchored deltas of this data say."""

    rate: float
    spread: float
    """an estimated token's half interval; of n tokens in a row it is spread * sqrt(n)"""
    overhead: float
    overhead_spread: float

    @property
    def tail(self) -> float:
        """Return the part of the overhead that may stand behind the prompts."""
        return self.overhead if self.overhead <= MOST_TAIL_TOKENS else 0.0


def _templated(shape: _Shape, text: TextTokens, known: Floats) -> Floats:
    """Add to the tokens of texts what the template usually adds to each segment."""
    above = shape.anchor_above(np.isfinite(known))
    below = np.flatnonzero(np.isfinite(known) & (above >= 0))
    up = above[below]
    segments = text.segments_end[below] - text.segments_end[up]
    extra = known[below] - known[up] - (text.tokens_end[below] - text.tokens_end[up])
    telling = segments > 0
    weight = segments[telling].astype(np.float64)
    each = _weighted_median(extra[telling] / weight, weight) if len(weight) else 0.0
    # more is no template: then the texts are not what the model read
    each = each if 0.0 < each <= MOST_TAIL_TOKENS else 0.0
    return text.tokens_end + each * text.segments_end


def _learn(shape: _Shape, estimate: Floats, known: Floats, usual_spread: float) -> _Learned:
    """Fit the rate and its spread to the deltas, and the overhead to the topmost anchors."""
    above = shape.anchor_above(np.isfinite(known))
    anchor = np.flatnonzero(np.isfinite(known))
    before = above[anchor]
    delta = anchor[before >= 0]
    size = estimate[delta] - estimate[before[before >= 0]]
    gain = known[delta] - known[before[before >= 0]]
    telling = size >= SHORTEST_DELTA
    rate, spread = _rate(size[telling], gain[telling], usual_spread)
    top = anchor[before < 0]
    overhead, overhead_spread = _overhead(estimate[top], known[top], rate, spread)
    return _Learned(rate, spread, overhead, overhead_spread)


def _rate(size: Floats, gain: Floats, usual_spread: float) -> tuple[float, float]:
    """Return the median rate, weighted by size, and the spread that covers nearly all deltas."""
    rate = _weighted_median(gain / size, size) if len(size) else USUAL_RATE
    if len(size) < FEWEST_DELTAS:
        return rate, usual_spread * rate
    strayed = np.abs(gain - rate * size) / np.sqrt(size)
    return rate, max(LEAST_SPREAD, float(np.quantile(strayed, COVERAGE)))


def _overhead(size: Floats, total: Floats, rate: float, spread: float) -> tuple[float, float]:
    """Return the constant of the topmost totals, and how far it may be off.

    Small prompts show it best. One that the spread of the text alone explains is not believed.
    """
    if not len(size):
        return 0.0, USUAL_SPREAD
    weight = 1 / (np.square(spread) * size + EDGE_TOKENS)
    overhead = _weighted_median(total - rate * size, weight)
    off = float(1 / np.sqrt(weight.sum()))
    return (overhead, off) if overhead > float(1 / np.sqrt(weight.max())) else (0.0, off)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    upto = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(upto, upto[-1] / 2)])


def _reported(nodes: int, leaf: Nodes, reported: Ints) -> tuple[Floats, Floats]:
    """Return the least and the largest total reported at each node, nan where none was."""
    said = (leaf >= 0) & (reported > 0)
    low, high = np.full(nodes, np.inf), np.full(nodes, -np.inf)
    np.minimum.at(low, leaf[said], reported[said])
    np.maximum.at(high, leaf[said], reported[said])
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


def _smooth(
    shape: _Shape, estimate: Floats, anchor: Floats, learned: _Learned
) -> tuple[Floats, Floats]:
    """Return each node's tokens given all anchors, and the square of their half interval."""
    parent = shape.parent
    step = np.append(estimate[:-1] - estimate[parent], 0.0)
    gain, noise = learned.rate * step, np.square(learned.spread) * step
    mean, variance = np.append(anchor, np.nan), np.full(len(anchor) + 1, _NOTHING)
    fixed = np.isfinite(mean)
    variance[fixed] = 0.0
    weight, sums = np.zeros(len(mean)), np.zeros(len(mean))
    for level in reversed(shape.levels):
        free = level[~fixed[level] & (weight[level] > 0)]
        mean[free], variance[free] = sums[free] / weight[free], 1 / weight[free]
        known = level[np.isfinite(variance[level])]
        # a thousandth keeps a step of no length exact, and its weight finite
        heavy = 1 / (variance[known] + noise[known] + 1e-6)
        np.add.at(weight, parent[known], heavy)
        np.add.at(sums, parent[known], heavy * (mean[known] - gain[known]))
    # the root itself: no text, all of the overhead
    mean[-1], variance[-1] = learned.overhead, np.square(learned.overhead_spread)
    for level in shape.levels:
        up = parent[level]
        come, wide = mean[up] + gain[level], variance[up] + noise[level]
        below = np.isfinite(variance[level])
        seen, seen_wide = np.where(below, mean[level], come), variance[level]
        ahead = seen_wide + noise[level] + 1e-6
        pull = np.where(below, np.where(below, seen_wide, 0.0) / ahead, 1.0)
        mean[level] = seen + pull * (come - seen)
        kept = np.where(below, seen_wide, 0.0) + np.square(pull) * (variance[up] - ahead)
        variance[level] = np.where(below, np.maximum(kept, 0.0), wide)
    return mean[:-1], variance[:-1]


def _interval(
    shape: _Shape, smooth: tuple[Floats, Floats], low: Floats, high: Floats, tail: float
) -> tuple[Floats, Floats, Floats]:
    """Return low, tokens and high, rounded, with no node below what stands above it.

    `tail` of the tokens may stand behind every prompt instead of in front of it.
    Where an anchor has less than one above it, one of the two reports is wrong: the interval of
    both is then from the one to the other.
    """
    mean, variance = smooth
    half = np.sqrt(variance)
    half = np.where(half > 0.01, half + EDGE_TOKENS, 0.0)
    anchored = np.isfinite(low)
    least = shape.least_below(np.where(anchored, low, np.inf))
    most = shape.least_below(np.where(anchored, high, np.inf))
    lows = np.where(anchored, low, np.floor(mean - half - tail + 0.01))
    highs = np.where(anchored, high, np.minimum(np.ceil(mean + half - 0.01), most))
    lows = shape.most_above(np.maximum(np.minimum(lows, least), 0))
    highs = shape.most_above(np.maximum(highs, 0))
    middle = shape.least_below(np.where(anchored, mean, np.inf))
    tokens = shape.most_above(np.maximum(np.rint(np.minimum(mean, middle)), 0))
    return lows, np.clip(tokens, lows, highs), highs


def _blocks(
    tree: PrefixTree, low: Floats, high: Floats, block_tokens: int
) -> tuple[Floats, Floats, Floats]:
    """Count blocks; the last one of a prompt may be partial, as its call reports."""
    whole = (tree.blocks_end * block_tokens).astype(np.float64)
    most = np.fmin(high, whole)
    return np.fmin(low, whole), most, most

"""All frames of a prompt tree, as arrays: who passes, and the tokens and dollars that lie in each.

A frame is a stretch of the tree without a branch: whoever enters it goes on alike or ends on the
way. Branches that follow each other within one block of text part together, since a cache keeps
whole blocks. Frame 0 stands above all: it holds what is sent by calls whose prompt is not known.
`flame.py` chooses the frames that are worth a look; this is vectorised over nodes and calls.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from phasewise_analyzer.prefixes import hit_rates
from phasewise_analyzer.prefixes.prefix_tree import TEXT_BLOCK_TOKENS, PrefixTree

Ints = npt.NDArray[np.int64]

PICO = 12
"""dollars are kept as whole 1e-12 USD, the last digit of a bill: sums of them are exact"""


@dataclass(frozen=True, slots=True)
class Sums:
    """What lies in each frame, one entry a frame."""

    sent: Ints
    """tokens, once for every call that sends them"""
    cached: Ints
    """of these, read from a cache"""
    missed: Ints
    """of these, sent before, and by report not read from a cache"""
    unreported: Ints
    """of these, sent before in calls whose source does not report its cache"""
    missed_pico_usd: Ints

    @classmethod
    def zero(cls, frames: int) -> "Sums":
        """Make the sums over no call."""
        return cls(*(np.zeros(frames, dtype=np.int64) for _ in range(5)))


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of a tree; parents are numbered before their children."""

    parent: Ints
    """[frames] -1 above frame 0"""
    head: Ints
    """[frames] the tree's node where it begins, -1 for frame 0"""
    tail: Ints
    """[frames] the tree's node where it ends, -1 for frame 0"""
    calls: Ints
    """[frames] calls that enter it"""
    priced_calls: Ints
    """[frames] of these, calls of a model with a known price"""
    first_call: Ints
    """[frames] number of the first of them"""
    own: Sums
    """what lies in the stretch itself"""
    below: Sums
    """the same, with all that follows it: own and the children's below"""
    leaf: Ints
    """[calls] frame where the call's prompt ends, 0 where no prompt is known"""

    def children(self) -> list[list[int]]:
        """Return the frames that follow each frame."""
        found: list[list[int]] = [[] for _ in range(len(self.parent))]
        for number, above in enumerate(self.parent.tolist()):
            if above >= 0:
                found[above].append(number)
        return found


@dataclass(frozen=True, slots=True)
class _Prompts:
    """Each call's prompt as an axis of tokens: cached, missed or not reported, then new."""

    size: Ints
    cached_end: Ints
    missed_end: Ints
    unreported_end: Ints
    missed_pico_usd: Ints

    def add(self, sums: Sums, frame: Ints, rows: Ints, start: Ints, end: Ints) -> None:
        """Add what lies between two places of these calls' prompts to the sums of a frame each."""
        cached_end, missed_end = self.cached_end[rows], self.missed_end[rows]
        np.add.at(sums.sent, frame, end - start)
        np.add.at(sums.cached, frame, np.minimum(end, cached_end) - np.minimum(start, cached_end))
        inner = np.clip(start, cached_end, missed_end) - cached_end
        outer = np.clip(end, cached_end, missed_end) - cached_end
        np.add.at(sums.missed, frame, outer - inner)
        unreported = [
            np.clip(place, missed_end, self.unreported_end[rows]) for place in (start, end)
        ]
        np.add.at(sums.unreported, frame, unreported[1] - unreported[0])
        np.add.at(sums.missed_pico_usd, frame, self._usd(rows, outer) - self._usd(rows, inner))

    def _usd(self, rows: Ints, tokens: Ints) -> Ints:
        """Return the price of the first so many missed tokens: all of it at the last of them."""
        whole = np.maximum(self.missed_end[rows] - self.cached_end[rows], 1)
        each, rest = np.divmod(self.missed_pico_usd[rows], whole)
        # two steps, since price times tokens is more than 64 bits hold
        first: Ints = each * tokens + rest * tokens // whole
        return first


def frames(tree: PrefixTree, calls: pl.DataFrame) -> Frames:
    """Cut the tree into frames and sum the calls over them; `calls` as `reads.llm_calls` gives."""
    parent, head, tail, frame_of = _cut(tree)
    block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
    input_tokens = calls["input_tokens"].to_numpy().astype(np.int64)
    whole = hit_rates.prompts(tree, input_tokens, block_tokens).tokens
    known = tree.leaf >= 0
    leaf = np.append(frame_of, 0)[tree.leaf]
    prompts = _prompts(calls, np.where(known, whole, input_tokens))
    blocks_end, tokens_end = (
        np.append(tree.blocks_end, 0)[tail],
        np.append(tree.tokens_end, 0)[tail],
    )
    text = np.maximum(np.append(tree.tokens_end, 0)[tree.leaf], 1)

    def end_of(frame: Ints, rows: Ints) -> Ints:
        """Return where a frame ends in these calls' prompts, in their own tokens: as `shared`."""
        return np.where(
            block_tokens[rows] > 0,
            np.minimum(blocks_end[frame] * block_tokens[rows], whole[rows]),
            tokens_end[frame] * whole[rows] // text[rows],
        )

    own, below = Sums.zero(len(parent)), Sums.zero(len(parent))
    priced = calls["missed_usd"].is_not_null().to_numpy()
    entered, entered_priced = (np.zeros(len(parent), dtype=np.int64) for _ in range(2))
    first = np.full(len(parent), len(known), dtype=np.int64)
    rows, frame, end = np.arange(len(known)), leaf, prompts.size
    while len(rows):
        start = np.where(frame > 0, end_of(parent[frame], rows), 0)
        prompts.add(own, frame, rows, start, end)
        prompts.add(below, frame, rows, start, prompts.size[rows])
        np.add.at(entered, frame, 1)
        np.add.at(entered_priced, frame, priced[rows])
        np.minimum.at(first, frame, rows)
        inside = frame > 0
        rows, frame, end = rows[inside], parent[frame[inside]], start[inside]
    return Frames(parent, head, tail, entered, entered_priced, first, own, below, leaf)


def _cut(tree: PrefixTree) -> tuple[Ints, Ints, Ints, Ints]:
    """Return each frame's parent, head and tail, and each node's frame."""
    nodes = len(tree.parent)
    children = np.bincount(tree.parent[tree.parent >= 0], minlength=nodes)
    begins = (tree.parent < 0) | (np.append(children, 0)[tree.parent] != 1)
    head_of = np.where(begins, np.arange(nodes), tree.parent)
    while not np.array_equal(further := head_of[head_of], head_of):
        head_of = further
    frame_of = np.cumsum(begins)[head_of]
    head = np.append(-1, np.flatnonzero(begins))
    ends = np.flatnonzero(children != 1)
    tail = np.full(len(head), -1, dtype=np.int64)
    tail[frame_of[ends]] = ends
    parent = np.append(-1, np.append(frame_of, 0)[tree.parent[head[1:]]])
    lifted = _lifted(parent, np.append(tree.tokens_end, 0)[tail])
    kept = lifted == np.arange(len(head))
    number = np.cumsum(kept) - 1
    above = np.append(-1, number[lifted[parent[kept][1:]]])
    return above, head[kept], tail[kept], number[lifted[frame_of]]


def _lifted(parent: Ints, end: Ints) -> Ints:
    """Return each frame itself; or, where it branches within a block, the frame it is lifted into.

    `end` is in tokens from the root. Frame 0 stays.
    """
    branches = np.bincount(parent[1:], minlength=len(parent)) > 0
    lifted = list(range(len(parent)))
    rows = zip(parent.tolist(), end.tolist(), branches.tolist(), strict=True)
    ends = end.tolist()
    for frame, (above, here, branching) in enumerate(rows):
        if frame and branching and here - ends[lifted[above]] < TEXT_BLOCK_TOKENS:
            lifted[frame] = lifted[above]
    return np.array(lifted, dtype=np.int64)


def _prompts(calls: pl.DataFrame, size: Ints) -> _Prompts:
    def tokens(name: str) -> Ints:
        return calls[name].fill_null(0).to_numpy().astype(np.int64)

    usd = [0 if one is None else int(one.scaleb(PICO)) for one in calls["missed_usd"]]
    cached_end = np.minimum(tokens("cache_read_tokens"), size)
    missed_end = np.minimum(cached_end + tokens("missed_tokens"), size)
    unreported_end = np.minimum(missed_end + tokens("unreported_tokens"), size)
    return _Prompts(size, cached_end, missed_end, unreported_end, np.array(usd, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Passing:
    """Which labels (sessions, roles) the calls that enter each frame have."""

    frame: Ints
    """[pairs] sorted"""
    label: Ints
    """[pairs]"""
    calls: Ints
    """[pairs] calls of this label that enter the frame"""

    def of(self, frames: list[int]) -> dict[int, int]:
        """Return the labels of some frames with their calls, most calls first."""
        found: dict[int, int] = {}
        for frame in frames:
            low, high = np.searchsorted(self.frame, (frame, frame + 1))
            pairs = zip(self.label[low:high].tolist(), self.calls[low:high].tolist(), strict=True)
            for label, calls in pairs:
                found[label] = found.get(label, 0) + calls
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def passing(found: Frames, label: Ints) -> Passing:
    """Find the labels in each frame; `label` is one number a call.

    The calls of one label that end in one frame go up together.
    """
    span = int(label.max(initial=0)) + 1
    keys, counts = np.unique(found.leaf * span + label, return_counts=True)
    all_keys, all_counts = [keys], [counts]
    while len(keys):
        inside = keys >= span
        frame, one = np.divmod(keys[inside], span)
        keys, same = np.unique(found.parent[frame] * span + one, return_inverse=True)
        summed = np.zeros(len(keys), dtype=np.int64)
        np.add.at(summed, same, counts[inside])
        counts = summed
        all_keys.append(keys)
        all_counts.append(counts)
    merged, same = np.unique(np.concatenate(all_keys), return_inverse=True)
    calls = np.zeros(len(merged), dtype=np.int64)
    np.add.at(calls, same, np.concatenate(all_counts))
    return Passing(merged // span, merged % span, calls)

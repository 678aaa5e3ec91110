"""What of the prompts was sent before at any place, not only as a prefix.

A prefix cache serves what an earlier prompt began with. Methods that take cached text from any
place (CacheBlend and the like) could serve all that stood anywhere in an earlier prompt: the
difference is the most they could add, before what they lose in quality. A prompt's own repeats do
not count, since nothing is cached before it is read.

Texts are compared by chunks (see `chunks`). A segment that an earlier call of the group had sent
repeats as a whole, so each distinct segment is cut once, and a prompt costs the segments that it is
the first to send. Blocks known by their hash are compared by it, regardless of their place; where
the hash covers all that stands before (Mooncake), that is the prefix again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
from phasewise_store import reads
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store
from phasewise_store.trie import Trie

from phasewise_analyzer import groups
from phasewise_analyzer.groups import By
from phasewise_analyzer.prefixes import chunks, hit_rates, prefix_tree, shared_prefixes

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Repeated:
    """How much of some prompts earlier calls had sent."""

    key: str | None
    """file, session, agent or model; None for all calls in scope"""
    calls: int
    prompt_tokens: int
    """of the calls with a known prompt"""
    prefix_tokens: int
    """as a prefix of an earlier call's prompt"""
    anywhere_tokens: int
    """at any place of an earlier call's prompt; the prefix is part of it"""
    sent_bytes: int
    """text of all prompts; 0 where only hashes are known"""
    unique_bytes: int
    """text of the distinct chunks"""

    @property
    def prefix_share(self) -> float:
        """Return the share of prompt tokens that an unbounded prefix cache would serve."""
        return self.prefix_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def anywhere_share(self) -> float:
        """Return the share that a cache of any place could serve at most."""
        return self.anywhere_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def dedup_factor(self) -> float | None:
        """Return how often the average byte was sent; None where no text is known."""
        return self.sent_bytes / self.unique_bytes if self.unique_bytes else None


@dataclass(frozen=True, slots=True)
class Repeats:
    """The repeats of all calls in scope, and inside each group."""

    whole: Repeated
    groups: tuple[Repeated, ...] = field(default=())
    """in the order of their first calls; each compared with its own earlier calls only"""


def find(
    store: Store,
    scope: Scope = EVERYTHING,
    *,
    by: By | None = None,
    mean_bytes: int = chunks.MEAN_BYTES,
) -> Repeats:
    """Return what the calls in scope repeat; chunks are `mean_bytes` long on average."""
    calls = reads.llm_calls(store, scope)
    prompts = _Prompts(store, scope, calls, mean_bytes)
    one = np.zeros(calls.height, dtype=np.int64)
    (whole,) = prompts.repeated(one, [None])
    if by is None:
        return Repeats(whole)
    group, keys = groups.numbered(store, calls, by)
    return Repeats(whole, tuple(prompts.repeated(group, keys)))


class _Prompts:
    """The prompts in scope, each distinct segment cut into chunks once."""

    def __init__(self, store: Store, scope: Scope, calls: pl.DataFrame, mean_bytes: int) -> None:
        self.tree = prefix_tree.read(store, scope)
        self.trie = reads.trie(store, scope)
        self.block_tokens = calls["block_tokens"].fill_null(0).to_numpy().astype(np.int64)
        input_tokens = calls["input_tokens"].to_numpy().astype(np.int64)
        self.whole = hit_rates.prompts(self.tree, input_tokens, self.block_tokens)
        ids, self.segment = np.unique(self.trie.segment, return_inverse=True)
        self.chunks = chunks.of_segments(store, ids, mean_bytes)
        above = np.append(self.trie.tokens_end, 0)
        self.node_tokens = self.trie.tokens_end - above[self.trie.parent]
        self.bytes_end = _bytes_end(self.trie.parent, self.chunks.text_bytes[self.segment])

    def repeated(self, group: Ints, keys: Sequence[str | None]) -> Iterator[Repeated]:
        """Return what each group repeats; `group` is a number a call, an index into `keys`."""
        prefix = shared_prefixes.any_earlier(self.tree, group)
        prefix_tokens = hit_rates.shared(self.tree, self.whole, self.block_tokens, prefix).tokens
        fresh, unique_bytes = self._fresh(group, len(keys))
        text = np.maximum(np.append(self.trie.tokens_end, 0)[self.trie.leaf], 1)
        share = np.clip(1 - fresh / text, 0, 1)
        # a prefix may end inside a chunk, which then counts as new
        anywhere = np.maximum(np.rint(share * self.whole.tokens), prefix_tokens)
        sent_bytes = np.append(self.bytes_end, 0)[self.trie.leaf]
        ones = np.ones(len(group))
        columns = (ones, self.whole.tokens, prefix_tokens, anywhere, sent_bytes)
        sums = [_sums(group, one, len(keys)) for one in columns]
        for key, *row in zip(keys, *sums, unique_bytes, strict=True):
            yield Repeated(key, *map(int, row))

    def _fresh(self, group: Ints, groups: int) -> tuple[Floats, Floats]:
        """Return the estimated tokens of each call that are new to its group, and unique bytes."""
        node, call = _first_sent(self.trie, group)
        if not len(node):
            return np.zeros(len(group)), np.zeros(groups)
        cut, segments = self.chunks, len(self.chunks.text_bytes)
        # the call that sends a segment first is the only one in which it is not a repeat
        pair, first, which = _first(group[call] * segments + self.segment[node], call)
        held, owner = pair % segments, pair // segments
        chunk, of = cut.spread(held)
        _, first_chunk, same = _first(owner[of] * cut.distinct + cut.number[chunk], first[of])
        size = cut.size[chunk]
        new = np.where(first_chunk[same] == first[of], size, 0)
        share = _sums(of, new, len(pair)) / np.maximum(_sums(of, size, len(pair)), 1)
        counts = call == first[which]
        tokens = self.node_tokens[node] * share[which]
        fresh = _sums(call[counts], tokens[counts], len(group))
        _, once = np.unique(same, return_index=True)
        text = cut.text_bytes[held[of[once]]] > 0
        return fresh, _sums(owner[of[once]], size[once] * text, groups)


def _sums(of: Ints, values: Ints | Floats, length: int) -> Floats:
    return np.bincount(of, weights=values, minlength=length).astype(np.float64)


def _first_sent(trie: Trie, group: Ints) -> tuple[Ints, Ints]:
    """Return each node with the call that sends it first, once for every group that does."""
    parent, leaves = trie.parent.tolist(), trie.leaf.tolist()
    owner = [-1] * len(parent)
    nodes: list[int] = []
    calls: list[int] = []
    for call in np.argsort(group, kind="stable").tolist():
        node, own = leaves[call], int(group[call])
        while node >= 0 and owner[node] != own:
            owner[node] = own
            nodes.append(node)
            calls.append(call)
            node = parent[node]
    return np.array(nodes, dtype=np.int64), np.array(calls, dtype=np.int64)


def _first(key: Ints, call: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the distinct keys, the first call of each, and which of them each entry is."""
    distinct, which = np.unique(key, return_inverse=True)
    first = np.full(len(distinct), shared_prefixes.NEVER, dtype=np.int64)
    np.minimum.at(first, which, call)
    return distinct, first, which


def _bytes_end(parent: npt.NDArray[np.int32], size: Ints) -> Ints:
    ends = size.tolist()
    for node, above in enumerate(parent.tolist()):
        if above >= 0:
            ends[node] += ends[above]
    return np.array(ends, dtype=np.int64)

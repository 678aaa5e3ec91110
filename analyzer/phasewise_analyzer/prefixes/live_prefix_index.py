"""What the calls of a data set had sent, kept in memory and grown with every new call.

The process that loads live traces analyses after every batch: with this it walks only the nodes
that are new, instead of reading the whole trie again. `analyse` uses it; the answers are those of
`shared_prefixes.any_earlier` on the whole tree, by model.

A node's mark is never there without its parent's, so the walk from a prompt's end to the front ends
at the first node that is marked. Where it ends inside a message, the siblings' texts say how much
of it is shared.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import polars as pl
from phasewise_store import reads
from phasewise_store.scope import Scope
from phasewise_store.store import Store
from phasewise_store.trie import ROOT, Trie

from phasewise_analyzer.prefixes.sibling_texts import Siblings, Texts

MOST_SIBLINGS = 1_000
"""of what a process finds in the database when it is first asked of a place: the latest"""
CALLS_AT_ONCE = 500
"""whose texts are read together"""
MOST_REMEMBERED = 20_000
"""at one place, before only the latest are remembered again"""

Model = tuple[str | None, str | None]
"""provider and model: a cache belongs to one"""


@dataclass(frozen=True, slots=True)
class NewCall:
    """What is asked of one call."""

    ordinal: int
    model: Model
    leaf: int
    input_tokens: int
    """as reported, 0 where not"""
    block_tokens: int
    """0 where the prompt is text"""


class _Nodes:
    """The nodes of the trie that some call of the data set passes, as columns that grow."""

    def __init__(self, trie: Trie) -> None:
        self._place = {number: place for place, number in enumerate(trie.node.tolist())}
        self.parent: array[int] = array("q", trie.parent.tolist())
        """place of the parent, -1 at the root"""
        self.segment: array[int] = array("Q", trie.segment.tolist())
        self.depth: array[int] = array("q", trie.depth.tolist())
        self.tokens_end: array[int] = array("q", trie.tokens_end.tolist())
        self.passed: array[int] = array("Q", bytes(8 * len(trie.node)))
        """a bit for each model that passed"""
        self.below: dict[int, list[int]] = {}
        """by place of the parent: the children that were passed, in that order; of text only"""

    def add(self, rows: pl.DataFrame) -> None:
        """Add nodes, parents first; those whose parent is unknown belong to other data sets."""
        for number, parent, segment, depth, tokens_end in rows.iter_rows():
            if number in self._place or (parent != ROOT and parent not in self._place):
                continue
            self._place[number] = len(self.parent)
            self.parent.append(-1 if parent == ROOT else self._place[parent])
            self.segment.append(segment)
            self.depth.append(depth)
            self.tokens_end.append(tokens_end)
            self.passed.append(0)

    def place(self, number: int) -> int | None:
        """Give where a node stands; None where it is not known."""
        return self._place.get(number)


class LivePrefixIndex:
    """The prompts of one data set's analysed calls."""

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._newest = reads.newest_node(store)
        analysed = reads.analysed_leaves(store, source)
        self._nodes = _Nodes(reads.trie(store, Scope(source=source)))
        self._models: dict[Model, int] = {}
        self._texts = Texts(store)
        self._siblings: dict[tuple[int, int], Siblings] = {}
        """by place of the parent and model; made when a prompt first parts there"""
        self._known: dict[int, tuple[int, int]] = {}
        """by ordinal, which a call keeps for good: where its prompt ends, and what was shared"""
        for ordinal, provider, model, leaf, blocks, sent_before in analysed.iter_rows():
            self._known[ordinal] = leaf, sent_before
            if leaf != ROOT:
                self._mark(self._leaf(leaf), self._bit((provider, model)), is_text=not blocks)

    def take(self, calls: Iterable[NewCall]) -> list[int] | None:
        """Give the tokens that earlier calls of the same model had sent, in order of arrival.

        None where a call comes again with another prompt than before: then only the whole tree can
        tell. All calls count as sent from now on.
        """
        newest = reads.newest_node(self._store)
        if newest > self._newest:
            self._nodes.add(reads.nodes_after(self._store, self._newest))
            self._newest = newest
        found: list[int] = []
        changed = False
        for call in self._read_ahead(calls):
            there = self._known.get(call.ordinal)
            if there is not None and there[0] == call.leaf:
                found.append(there[1])
                continue
            changed = changed or (there is not None and there[0] != ROOT)
            shared = 0
            if call.leaf != ROOT:
                leaf, bit = self._leaf(call.leaf), self._bit(call.model)
                shared = self._shared(call, leaf, bit)
                self._mark(leaf, bit, is_text=not call.block_tokens)
            self._known[call.ordinal] = call.leaf, shared
            found.append(shared)
        return None if changed else found

    def _read_ahead(self, calls: Iterable[NewCall]) -> Iterator[NewCall]:
        """Give the calls, the texts that some of them will be compared by read together."""
        waiting = iter(calls)
        while some := tuple(islice(waiting, CALLS_AT_ONCE)):
            self._texts.read(self._may_part(some))
            yield from some

    def _may_part(self, calls: Iterable[NewCall]) -> list[int]:
        """Give the segments that stand beside others, to read all of their texts at once."""
        nodes = self._nodes
        seen: set[int] = set()
        beside: dict[int, list[int]] = {}
        for call in calls:
            here = -1 if call.leaf == ROOT or call.block_tokens else self._leaf(call.leaf)
            while here >= 0 and not nodes.passed[here] and here not in seen:
                seen.add(here)
                beside.setdefault(nodes.parent[here], []).append(nodes.segment[here])
                here = nodes.parent[here]
        return [
            segment
            for above, segments in beside.items()
            if len(segments) > 1 or above in nodes.below
            for segment in segments
        ]

    def _bit(self, model: Model) -> int:
        """Give the bit of a model; from the sixty-fourth on they share one."""
        number = self._models.setdefault(model, min(len(self._models), 63))
        return 1 << number

    def _leaf(self, number: int) -> int:
        """Give the place of a node; one that only another data set had used so far is read now."""
        place = self._nodes.place(number)
        if place is None:
            self._nodes.add(reads.nodes_above(self._store, number))
            place = self._nodes.place(number)
        assert place is not None
        return place

    def _mark(self, leaf: int, bit: int, *, is_text: bool) -> None:
        """Mark a path; of a node that the model has passed the whole path is marked."""
        nodes = self._nodes
        here = leaf
        while here >= 0 and not nodes.passed[here] & bit:
            above = nodes.parent[here]
            if is_text:
                if not nodes.passed[here]:
                    nodes.below.setdefault(above, []).append(here)
                if (above, bit) in self._siblings:
                    self._siblings[above, bit].add(nodes.segment[here])
            nodes.passed[here] |= bit
            here = above

    def _shared(self, call: NewCall, leaf: int, bit: int) -> int:
        """Give the tokens of a prompt that were sent before, scaled to its reported size."""
        nodes = self._nodes
        here, parted = leaf, -1
        while here >= 0 and not nodes.passed[here] & bit:
            here, parted = nodes.parent[here], here
        if call.block_tokens:
            depth = nodes.depth[here] if here >= 0 else 0
            whole = call.input_tokens or nodes.depth[leaf] * call.block_tokens
            return min(depth * call.block_tokens, whole)
        tokens = nodes.tokens_end[here] if here >= 0 else 0
        if parted >= 0:
            tokens += self._inside(parted, here, bit)
        text = nodes.tokens_end[leaf]
        return tokens * (call.input_tokens or text) // max(1, text)

    def _inside(self, parted: int, above: int, bit: int) -> int:
        """Give the tokens of a segment that a sibling begins with, too."""
        nodes = self._nodes
        known = self._siblings.get((above, bit))
        if known is None or len(known) > MOST_REMEMBERED:
            there = (one for one in nodes.below.get(above, ()) if nodes.passed[one] & bit)
            latest = deque((nodes.segment[one] for one in there), maxlen=MOST_SIBLINGS)
            if not latest:
                return 0
            self._siblings[above, bit] = Siblings(self._texts, latest)
        return self._siblings[above, bit].common_tokens(nodes.segment[parted])


def new_calls(calls: pl.DataFrame) -> list[NewCall]:
    """Make them of columns of `llm_calls`."""
    columns = calls.select(
        "ordinal",
        "provider",
        "model",
        "leaf_node",
        "input_tokens",
        pl.col("block_tokens").fill_null(0),
    )
    return [
        NewCall(ordinal, (provider, model), leaf, size, blocks)
        for ordinal, provider, model, leaf, size, blocks in columns.iter_rows()
    ]

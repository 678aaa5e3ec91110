"""Put calls among those before them as they come; `live` judges them by it.

For each: its predecessors, its tokens at their places, what its cache's rule says was read.

The answers are those of `breaks.predecessors` and `caches.predictions` in the order of arrival.
A call costs what its prompt has places.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from phasewise_store.store import Store
from phasewise_store.trie import ROOT, shared_length

from phasewise_analyzer.caches import families
from phasewise_analyzer.caches.book import Book
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import MESSAGES, Asked, PromptCache, Served
from phasewise_analyzer.caches.prompt_positions import Places, extend
from phasewise_analyzer.caches.requests import TIER_OF, Recorded, asked_of, settings_of, with_answer
from phasewise_analyzer.prefixes.live_tokens import LiveTokens
from phasewise_analyzer.prefixes.live_tree import Fork, Grown, LiveTree

AT_ONCE = 500
"""calls whose texts are read together"""
MOST_RECENT = 20_000
"""calls that are known in full: one that is described again keeps its predecessors"""

Call = Mapping[str, Any]
"""a row of `reads.llm_calls`"""


@dataclass(frozen=True, slots=True)
class Placed:
    """One call among those before it; other calls by ordinal, -1 where there is none."""

    ordinal: int
    leaf: int = -1
    """node of the live tree, -1 without a prompt"""
    whole: int = 0
    """tokens of the prompt"""
    is_first: bool = False
    """whether it is its agent's first call"""
    previous: int = -1
    template: int = -1
    parent: int = -1
    nearest: int = -1
    shared: int = 0
    """tokens that `nearest` had sent"""
    with_previous: int = 0
    goes_on: bool = False
    is_deep: bool = False
    sent_before: int = 0
    policy: Policy | None = None
    served: Served | None = None


class _Passed:
    """The calls of one model that passed each node."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}

    def places(self, path: Sequence[int], ordinal: int) -> int:
        """Count the places from the front that a call before this one passed."""
        return bisect_left(path, True, key=lambda node: self._first.get(node, ordinal) >= ordinal)

    def nearest(self, node: int, ordinal: int) -> int:
        """Give the last call before this one that passed a node; of a late one, the first."""
        last = self._last[node]
        return last if last < ordinal else self._first[node]

    def keep(self, path: Sequence[int], known: int, ordinal: int) -> None:
        """Remember a call; so many of its places were passed before."""
        for node in islice(path, known, None):
            self._first[node] = min(ordinal, self._first.get(node, ordinal))
        if path and self._last.get(path[0], -1) <= ordinal:
            self._last.update(dict.fromkeys(path, ordinal))
        else:  # described again, after others had come
            self._last.update((node, max(ordinal, self._last.get(node, -1))) for node in path)

    def fork(self, fork: Fork) -> None:
        """Take note of a new node: who passed the one below it has passed it."""
        for passed in (self._first, self._last):
            if fork.below in passed:
                passed[fork.new] = passed[fork.below]


class LiveCalls:
    """The calls of one data set, in the order in which they came."""

    def __init__(self, store: Store, book: Book) -> None:
        self._store = store
        self.tree = LiveTree(store)
        self._book = book
        self._tokens = LiveTokens(self.tree)
        self._caches: dict[str, PromptCache] = {}
        self._passed: dict[tuple[str | None, str | None], _Passed] = {}
        self._prompts: dict[int, tuple[int, int]] = {}
        """by ordinal: where the prompt ends, and its tokens"""
        self._recent: dict[int, tuple[tuple[object, ...], Placed]] = {}
        """by ordinal: what a call was, and what was found of it"""
        self._seen = 0
        self._firsts: dict[str, int] = {}
        """by agent: its first call"""
        self._streams: dict[str, list[int]] = {}
        """by agent: its calls with a prompt"""
        self._templates: dict[tuple[object, ...], int] = {}
        """by role and model: the first call of the last agent"""
        self._answers: dict[int, list[int]] = {}
        """by the node where a prompt may end: the answers that stand behind it"""
        self._ended: set[int] = set()
        self._model_of: dict[int, tuple[str | None, str | None]] = {}
        """by ordinal, of calls with a prompt"""

    def take(self, calls: Iterable[Call]) -> list[Placed]:
        """Give what is found of calls in order of arrival; they are part of what is known then."""
        waiting = iter(calls)
        found = []
        while some := tuple(islice(waiting, AT_ONCE)):
            self.tree.read_ahead(int(call["leaf_node"]) for call in some)
            found += [self._take(call) for call in self._store.precedence.between(some)]
        return found

    def whole(self, ordinal: int) -> int:
        """Give the tokens of a call's prompt."""
        return self._prompts[ordinal][1]

    def leaf(self, ordinal: int) -> int:
        """Give where a call's prompt ends."""
        return self._prompts[ordinal][0]

    def _take(self, call: Call) -> Placed:
        ordinal = call["ordinal"]
        columns = ("leaf_node", "agent_id", "provider", "model", "started_ns", "input_tokens")
        what = tuple(call[name] for name in columns)
        if ordinal in self._recent and self._recent[ordinal][0] == what:
            return self._recent[ordinal][1]
        row, self._seen = self._seen, self._seen + 1
        first = self._firsts.setdefault(call["agent_id"], ordinal)
        if call["leaf_node"] == ROOT:
            found = Placed(ordinal, is_first=first == ordinal)
        else:
            found = replace(self._with_prompt(call, row), is_first=first == ordinal)
        self._recent[ordinal] = what, found
        if len(self._recent) > MOST_RECENT:
            del self._recent[next(iter(self._recent))]
        return found

    def _with_prompt(self, call: Call, row: int) -> Placed:
        ordinal, model = call["ordinal"], (call["provider"], call["model"])
        leaf = self._grow(self.tree.grow(call["leaf_node"]))
        path = self.tree.path(leaf)
        passed = self._passed.setdefault(model, _Passed())
        known = passed.places(path, ordinal)
        previous, template, parent = self._predecessors(call, model)
        before = self.tree.path(self.leaf(previous)) if previous >= 0 else []
        common = shared_length(before, path)
        blocks = self.tree.blocks_end
        touched = _last_block([blocks[node] for node in path[:known]])
        nearest = passed.nearest(path[touched], ordinal) if touched >= 0 else -1
        counted = self._tokens.count(call, path)
        # what both have is no more than the other one had in all
        most = self.whole(passed.nearest(path[known - 1], ordinal)) if known else 0
        ends = [min(end, most) for end in counted.ends[:known]] + counted.ends[known:]
        policy, served = self._serve(call, row, path, ends, counted.whole)
        shared = ends[known - 1] if known else 0
        sent = min(shared, counted.whole)
        found = Placed(
            ordinal,
            leaf=leaf,
            whole=counted.whole,
            previous=previous,
            template=template,
            parent=parent,
            nearest=nearest,
            shared=shared,
            with_previous=ends[common - 1] if common else 0,
            goes_on=bool(common and common == len(before))
            or (nearest >= 0 and self.leaf(nearest) == path[known - 1]),
            is_deep=previous >= 0
            and 2 * (blocks[path[common - 1]] if common else 0)
            < min(blocks[leaf], blocks[before[-1]]),
            sent_before=sent if served is None else max(sent, served.read),
            policy=policy,
            served=served,
        )
        passed.keep(path, known, ordinal)
        self._prompts[ordinal] = leaf, counted.whole
        self._ended.add(leaf)
        return found

    def _grow(self, grown: Grown) -> int:
        """Tell all who keep something by node what is new; give the prompt's leaf."""
        for fork in grown.forks:
            for passed in self._passed.values():
                passed.fork(fork)
            for cache in self._caches.values():
                cache.fork(fork)
        tree = self.tree
        for node in grown.nodes:
            above = tree.above(node)
            if above < 0 or tree.role[node] != "assistant":
                continue
            self._answers.setdefault(above, []).append(node)
            if above in self._ended:
                answer = Fork(node, _unknown_answer(above), tree.tokens_end[node], 0)
                for cache in self._caches.values():
                    cache.answered(answer)
        return grown.leaf

    def _predecessors(
        self, call: Call, model: tuple[str | None, str | None]
    ) -> tuple[int, int, int]:
        """Give the previous call of the agent; of its first call, template and parent instead."""
        ordinal = call["ordinal"]
        stream = self._streams.setdefault(call["agent_id"], [])
        place = bisect_left(stream, ordinal)
        template = parent = -1
        if not place:
            role = (call["agent"], *model)
            template = self._templates.get(role, -1)
            template = -1 if template == ordinal else template
            self._templates[role] = ordinal
            above = self._streams.get(call["parent_agent_id"], [])
            at = bisect_left(above, ordinal)
            if at and self._model_of.get(above[at - 1]) == model:
                parent = above[at - 1]
        self._model_of[ordinal] = model
        if place == len(stream) or stream[place] != ordinal:
            insort(stream, ordinal)
        return stream[place - 1] if place else -1, template, parent

    def _serve(
        self, call: Call, row: int, path: list[int], ends: list[int], tokens: int
    ) -> tuple[Policy | None, Served | None]:
        policy = self._book.policy(call["provider"], call["model"], call["started_ns"])
        if policy is None:
            return None, None
        tree = self.tree
        tiers: list[int] = []
        extend(tiers, [TIER_OF.get(tree.kind[node], MESSAGES) for node in path])
        blocks = bool(call["block_tokens"])
        whole = [
            tree.whole[node] and (not blocks or node in self._ended or node == path[-1])
            for node in path
        ]
        settings = settings_of(call["request"])
        places = Places(path, ends, whole, tiers)
        asked = asked_of(call, settings.said, places, row=row, tokens=tokens)
        asked = Recorded(row, asked, settings, partial(self._answered, asked)).under(policy)
        if policy.id not in self._caches:
            self._caches[policy.id] = families.make(policy)
        return policy, self._caches[policy.id].serve(asked)

    def _answered(self, asked: Asked) -> tuple[Asked, ...]:
        """Give the prompt with each answer behind it, and with the one that is not known yet."""
        tree, leaf = self.tree, asked.path[-1]
        made = []
        for end in (_unknown_answer(leaf), *self._answers.get(leaf, ())):
            path = [end]
            while path[-1] >= 0 and tree.parent[path[-1]] != leaf:
                path.append(tree.parent[path[-1]])
            path.reverse()
            start, so_far = tree.tokens_end[leaf], asked.ends[-1]
            sizes = [max(0, tree.tokens_end[node] - start) if node >= 0 else 0 for node in path]
            whole = [node < 0 or tree.whole[node] for node in path]
            ends = [so_far + size for size in sizes]
            made.append(with_answer(asked, Places(path, ends, whole, [MESSAGES] * len(path))))
        return tuple(made)


def _last_block(ends: Sequence[int]) -> int:
    """Give the last place in which a block ends, -1 where none does."""
    return bisect_left(ends, ends[-1]) if ends and ends[-1] else -1


def _unknown_answer(leaf: int) -> int:
    """Give the number under which an answer is kept until a later prompt shows it."""
    return -2 - leaf

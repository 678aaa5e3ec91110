"""Group the spans that describe one LLM call: nested ones, ones of one response, twins.

Two instrumentors that are both switched on, an SDK that traces itself, an agent's telemetry in
spans and again in logs, an engine's own span: each describes the same call. Counting them apart
doubles the bill.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from phasewise_store.facts import Span

from phasewise_collector.dialects.content import Taken
from phasewise_collector.dialects.log_records import KIND as LOG
from phasewise_collector.dialects.tree import Tree

SLACK_NS = 2 * 10**9
"""clocks of two processes, and a log record's own moment, may differ by this much"""
TWIN_SLACK_NS = 10**6
"""of two spans made by one process around one request: they overlap"""


def groups(tree: Tree) -> list[tuple[str, ...]]:
    """Give the keys that describe each call, in the order of their start."""
    found = _Groups()
    described = [key for key, kind in tree.kinds.items() if kind in ("llm", "engine")]
    containers = set(_containers(tree))
    for key in described:
        if key not in containers:
            found.add(key)
    for key in described:
        if key in containers:
            continue
        inside_of = _nearest_llm(tree, key)
        if inside_of is not None and inside_of not in containers:
            found.join(key, inside_of)
    for one, other in _of_one_response(tree, found):
        if found.are_apart(one, other, tree, _maker):
            found.join(one, other)
    for one, other in _twins(tree, found):
        if found.are_apart(one, other, tree, _scope):
            found.join(one, other)
    return found.sorted(lambda key: (tree.span(key).start_ns, key))


class _Groups:
    """Sets that grow together (union-find)."""

    def __init__(self) -> None:
        self._up: dict[str, str] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._up

    def __iter__(self) -> Iterator[str]:
        return iter(self._up)

    def add(self, key: str) -> None:
        self._up[key] = key

    def root(self, key: str) -> str:
        while self._up[key] != key:
            self._up[key] = self._up[self._up[key]]
            key = self._up[key]
        return key

    def join(self, one: str, other: str) -> None:
        self._up[self.root(one)] = self.root(other)

    def are_apart(self, one: str, other: str, tree: Tree, maker: Callable[[Span], str]) -> bool:
        """Say whether no maker has a span in both groups: it describes a call once."""
        roots = self.root(one), self.root(other)
        makers: tuple[set[str], set[str]] = (set(), set())
        for key in self._up:
            root = self.root(key)
            for place in (0, 1):
                if root == roots[place]:
                    makers[place].add(maker(tree.span(key)))
        return not makers[0] & makers[1]

    def sorted(self, order: Callable[[str], tuple[int, str]]) -> list[tuple[str, ...]]:
        members: dict[str, list[str]] = {}
        for key in self._up:
            members.setdefault(self.root(key), []).append(key)
        return [tuple(sorted(group, key=order)) for group in members.values()]


def _nearest_llm(tree: Tree, key: str) -> str | None:
    """Give the LLM span just above; an agent, or a tool, in between makes it another call's."""
    for one in tree.above(key):
        kind = tree.kinds[one]
        if kind == "llm":
            return one
        if kind in ("agent", "tool"):
            return None
    return None


def _containers(tree: Tree) -> Iterator[str]:
    """Give LLM spans around several calls: they sum up, and are no call themselves."""
    inside: dict[str, list[str]] = {}
    for key, kind in tree.kinds.items():
        if kind == "llm" and tree.span(key).kind != LOG:
            above = _nearest_llm(tree, key)
            if above is not None:
                inside.setdefault(above, []).append(key)
    for key, inner in inside.items():
        if len({_maker(tree.span(one)) for one in inner}) < len(inner):
            yield key


def _maker(span: Span) -> str:
    """Name the instrumentor: two spans of one instrumentor are two calls, not one described twice.

    Every log record is a maker of its own.
    """
    return span.span_id if span.kind == LOG else f"{span.scope_name}/{span.name}"


def _scope(span: Span) -> str:
    """Name the instrumentor where no id tells: `chat` and `stream_chat` of one are two calls."""
    return span.span_id if span.kind == LOG else span.scope_name


def _of_one_response(tree: Tree, keys: Iterable[str]) -> list[tuple[str, str]]:
    by_id: dict[str, list[str]] = {}
    for key in keys:
        named = tree.span(key).response_id
        if named is not None:
            by_id.setdefault(named, []).append(key)
    # servers in tests answer with one id for ever: the moment must fit, too
    return _closest_first(
        tree,
        by_id.values(),
        lambda one, other: _touch(one, other, SLACK_NS),
    )


def _twins(tree: Tree, keys: Iterable[str]) -> list[tuple[str, str]]:
    """Give pairs without a common id: one process, one model's tokens, at the same time."""
    by_usage: dict[tuple[str, int, int], list[str]] = {}
    for key in keys:
        same = likeness(tree.taken[key])
        if same is not None:
            by_usage.setdefault(same, []).append(key)
    return _closest_first(tree, by_usage.values(), are_twins)


def _closest_first(
    tree: Tree, alike: Iterable[list[str]], fits: Callable[[Span, Span], bool]
) -> list[tuple[str, str]]:
    """Give the pairs that fit, those closest in time first: parallel calls have like twins.

    Spans that overlap come before those that merely follow each other.
    """
    pairs: list[tuple[bool, int, str, str]] = []
    for keys in alike:
        ordered = sorted(keys, key=lambda key: tree.span(key).start_ns)
        for place, key in enumerate(ordered):
            one = tree.span(key)
            for other_key in islice(ordered, place + 1, None):
                other = tree.span(other_key)
                if other.start_ns > one.end_ns + SLACK_NS:
                    break
                if _maker(one) != _maker(other) and fits(one, other):
                    # a framework's span of a stream may end when it is handed on: starts tell
                    distance_ns = abs(one.start_ns - other.start_ns)
                    pairs.append((not _touch(one, other, 0), distance_ns, key, other_key))
    return [(key, other) for _, _, key, other in sorted(pairs)]


def likeness(taken: Taken) -> tuple[str, int, int] | None:
    """Give what twins have in common: program, input tokens, output tokens."""
    usage, service = taken.usage, taken.span.service_name
    if taken.kind != "llm" or usage.origin != "reported" or not service:
        return None
    return service, usage.input_tokens, usage.output_tokens


def are_twins(one: Span, other: Span) -> bool:
    """Say whether two spans with the same tokens, of one process, are one call described twice."""
    if one.response_id is not None and other.response_id is not None:
        return False  # the ids have spoken
    together = _touch(one, other, TWIN_SLACK_NS)
    return together and one.scope_name != other.scope_name


def _touch(one: Span, other: Span, slack_ns: int) -> bool:
    return one.start_ns - slack_ns <= other.end_ns and other.start_ns - slack_ns <= one.end_ns

"""Group the spans that describe one LLM call: nested spans, spans of one response, duplicates.

Two enabled instrumentors, an SDK with its own tracing, an agent that reports spans and logs, and an
engine's own span can all describe the same call. Counted separately, they would double the bill.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from phasewise_store.facts import Span

from phasewise_collector.dialects import aliases, usage_aliases, wire
from phasewise_collector.dialects.content import Taken
from phasewise_collector.dialects.log_records import KIND as LOG
from phasewise_collector.dialects.tree import Tree, text_of

SLACK_NS = 2 * 10**9
"""clocks of two processes, and a log record's own moment, may differ by this much"""
TWIN_SLACK_NS = 10**6
"""of two spans made by one process around one request: they overlap"""
ALIKE = 0.5
"""of the estimated lengths of one prompt that two instrumentors write in their own ways"""


def groups(tree: Tree) -> list[tuple[str, ...]]:
    """Return the keys that describe each call, in the order of their start."""
    found = _Groups()
    described = [key for key, kind in tree.kinds.items() if kind in ("llm", "engine")]
    containers = set(_containers(tree))
    for key in described:
        if key not in containers:
            found.add(key)
    for one, other in _sent_twice(tree, found):
        found.join(one, other)
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
    for one, other in _nested_in_time(tree, found):
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
        """Return whether no maker has a span in both groups: it describes a call once."""
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
    """Return the LLM span just above; an agent, or a tool, in between makes it another call's."""
    for one in tree.above(key):
        kind = tree.kinds[one]
        if kind == "llm":
            return one
        if kind in ("agent", "tool"):
            return None
    return None


def _containers(tree: Tree) -> Iterator[str]:
    """Return LLM spans around several calls: they sum up, and are no call themselves."""
    inside: dict[str, list[str]] = {}
    for key, kind in tree.kinds.items():
        if kind == "llm" and tree.span(key).kind != LOG:
            above = _nearest_llm(tree, key)
            while above is not None:
                inside.setdefault(above, []).append(key)
                above = _nearest_llm(tree, above)
    for key, inner in inside.items():
        if len({_maker(tree.span(one)) for one in inner}) < len(inner):
            yield key


def _maker(span: Span) -> str:
    """Name the instrumentor: two spans of one instrumentor are two calls, not one described twice.

    Every log record is a maker of its own; each request at the wire is a call, however it is named.
    """
    if span.kind == LOG:
        return span.span_id
    return span.scope_name if wire.is_wire(span) else f"{span.scope_name}/{span.name}"


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


def _sent_twice(tree: Tree, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Return pairs of one instrumentor that are one span under two ids.

    The id of an answer, the moment and the tokens are the same to the last digit.
    """
    first: dict[tuple[object, ...], str] = {}
    for key in keys:
        span, usage = tree.span(key), tree.taken[key].usage
        if span.response_id is None or span.kind == LOG:
            continue
        moment = (span.start_ns, span.end_ns)
        same = (_maker(span), span.response_id, moment, usage.input_tokens, usage.output_tokens)
        before = first.setdefault(same, key)
        if before != key:
            yield before, key


def _twins(tree: Tree, keys: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs without a common id: one process, one model's tokens, at the same time."""
    by_usage: dict[tuple[str, int, int], list[str]] = {}
    for key in keys:
        same = likeness(tree.taken[key])
        if same is not None:
            by_usage.setdefault(same, []).append(key)
    return _closest_first(tree, by_usage.values(), are_twins)


def _nested_in_time(tree: Tree, keys: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of which one reports no tokens: a stream without usage, an error."""
    by_service: dict[str, list[str]] = {}
    for key in keys:
        if tree.kinds[key] == "llm" and tree.span(key).service_name:
            by_service.setdefault(tree.span(key).service_name, []).append(key)
    silent = [
        sorted(of_service, key=lambda key: tree.span(key).start_ns)
        for of_service in by_service.values()
        if any(is_silent(tree.taken[key]) for key in of_service)
    ]
    pairs: list[tuple[bool, float, int, str, str]] = []
    for ordered in silent:
        for place, key in enumerate(ordered):
            one = tree.taken[key]
            for other_key in islice(ordered, place + 1, None):
                other = tree.taken[other_key]
                if other.span.start_ns > one.span.end_ns:
                    break
                if are_nested(one, other):
                    # a framework's span around a refused request and its retry is the retry's
                    apart = (one.span.status == "error") != (other.span.status == "error")
                    distance_ns = abs(one.span.start_ns - other.span.start_ns)
                    unlike = -_likeness_of_prompts(one, other)
                    pairs.append((apart, unlike, distance_ns, key, other_key))
    return [(key, other) for *_, key, other in sorted(pairs)]


def is_silent(taken: Taken) -> bool:
    """Return whether a description reports no tokens: a prompt is never empty, so 0 read is none.

    LangChain writes that of Anthropic's streams, whose input stands in their first event.
    """
    return taken.usage.origin != "reported" or taken.usage.input_tokens == 0


def are_nested(one: Taken, other: Taken) -> bool:
    """Return whether two spans, of which one reports no tokens, are one call described twice.

    One process, another instrumentor, the same model and about the same prompt, and one lasts while
    the other does.
    """
    first, second = one.span, other.span
    if one.kind != "llm" or other.kind != "llm" or LOG in (first.kind, second.kind):
        return False
    if not (is_silent(one) or is_silent(other)):
        return False
    if not first.service_name or first.service_name != second.service_name:
        return False
    if first.scope_name == second.scope_name:
        return False
    if first.response_id and second.response_id and first.response_id != second.response_id:
        return False
    inside = _lasts_within(first, second) or _lasts_within(second, first)
    return inside and _same_model(first, second) and _likeness_of_prompts(one, other) >= ALIKE


def _lasts_within(inner: Span, outer: Span) -> bool:
    """Return whether a span lies in another: a request, whether it goes out while the other lasts.

    A framework may end its span of a stream when it hands the stream on.
    """
    last_ns = inner.start_ns if wire.is_wire(inner) else inner.end_ns
    begins = outer.start_ns - TWIN_SLACK_NS <= inner.start_ns
    return begins and last_ns <= outer.end_ns + TWIN_SLACK_NS


def _same_model(one: Span, other: Span) -> bool:
    """Return whether the models may be one: an answer adds the date, a router the maker."""
    names = [(text_of(span, aliases.MODEL) or "").rpartition("/")[2] for span in (one, other)]
    return names[0].startswith(names[1]) or names[1].startswith(names[0])


def _likeness_of_prompts(one: Taken, other: Taken) -> float:
    """Return how near the estimated lengths are, 1 where one of them is not known."""
    lengths = [
        aliases.number(taken.span.attributes, usage_aliases.ESTIMATED_INPUT)
        for taken in (one, other)
    ]
    known = [length for length in lengths if length]
    return min(known) / max(known) if len(known) == len(lengths) else 1.0


def _closest_first(
    tree: Tree, alike: Iterable[list[str]], fits: Callable[[Span, Span], bool]
) -> list[tuple[str, str]]:
    """Return the pairs that fit, those closest in time first: parallel calls have like twins.

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
    """Return what twins have in common: program, input tokens, output tokens."""
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

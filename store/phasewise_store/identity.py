"""What identifies an LLM call, whichever way it arrives; importers and dialects share these keys.

A call is identified by the id of its response, by the id of its request, else by its place in its
session together with its input and output.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import xxhash

from phasewise_store.facts import LlmCall, Segment
from phasewise_store.trie import ROOT, node_id

SLACK_NS = 2 * 10**9
"""clocks of two processes, and a log record's own moment, may differ by this much"""

_ANSWER, _REQUEST, _PLACE = "answer:", "request:", "place:"
_OF_A_REQUEST = re.compile(r"req(uest)?[-_]", re.IGNORECASE)


def of_ids(*ids: str | None) -> tuple[str, ...]:
    """Return the keys of ids that a provider gave; Anthropic's `req_…` name the request."""
    known = dict.fromkeys(one for one in ids if one)
    return tuple(f"{_REQUEST if _OF_A_REQUEST.match(one) else _ANSWER}{one}" for one in known)


def of_place(session_id: str, prompt: Sequence[Segment], output: Sequence[Segment]) -> str:
    """Return the key of a call without ids: what was read and written in this session."""
    leaf = ROOT
    for segment in prompt:
        leaf = node_id(leaf, segment)
    return of_stored_place(session_id, leaf, [segment.digest for segment in output])


def of_stored_place(session_id: str, leaf: int, output: Sequence[bytes]) -> str:
    """Return the key of a call that is stored, by its leaf in the trie and its output's digests."""
    return f"{_PLACE}{session_id}:{leaf:016x}{xxhash.xxh3_64_hexdigest(b''.join(output))}"


def nth(place: str, number: int) -> str:
    """Return the key of a call before which the session has this many others alike."""
    return f"{place}:{number}" if number else place


@dataclass(frozen=True, slots=True)
class Bearer:
    """A call, as far as it matters for telling whether it is another one."""

    call: LlmCall
    keys: frozenset[str]


def is_of_file(call: LlmCall) -> bool:
    """Return whether a session file tells of the call, alone or beside spans."""
    return not call.described_by or any(not one.trace_id for one in call.described_by)


def is_of_spans(call: LlmCall) -> bool:
    """Return whether spans tell of the call, alone or beside a file."""
    return any(one.trace_id for one in call.described_by)


def pairs(calls: Sequence[Bearer], stored: Sequence[Bearer]) -> dict[int, list[int]]:
    """Say which stored calls each call is, by their places.

    A stored call is at most one of the calls. Servers in tests answer with one id for ever, so the
    moment must fit, too, and those closest in time are paired first.
    """
    found: dict[int, list[int]] = {}
    taken: set[int] = set()
    for _, place, other in sorted(_candidates(calls, stored)):
        if other in taken:
            continue
        mine = found.get(place, [])
        if any(not _may_be_one(stored[other], stored[one]) for one in mine):
            continue
        taken.add(other)
        found[place] = [*mine, other]
    return found


def _candidates(
    calls: Sequence[Bearer], stored: Sequence[Bearer]
) -> Iterable[tuple[tuple[int, int], int, int]]:
    by_key: dict[object, list[int]] = {}
    for other, one in enumerate(stored):
        by_key.setdefault(_likeness(one.call), []).append(other)
        for name in (*one.keys, *_spans(one.call)):
            by_key.setdefault(name, []).append(other)
    for place, one in enumerate(calls):
        seen: set[int] = set()
        known_by = (*_spans(one.call), *sorted(one.keys))
        keys: list[tuple[int, object]] = [(0, key) for key in known_by]
        for rank, key in (*keys, (1, _likeness(one.call))):
            for other in by_key.get(key, ()):
                if other in seen or not _is_same(one, stored[other], by_likeness=rank == 1):
                    continue
                if _is_of_answer(key) and not _fit(one.call, stored[other].call):
                    continue
                seen.add(other)
                yield (rank, _distance_ns(one.call, stored[other].call)), place, other


def _spans(call: LlmCall) -> list[tuple[str, str]]:
    """Return the spans that tell of the call: derived again, it is the same call."""
    return [(one.trace_id, one.span_id) for one in call.described_by if one.trace_id]


def _is_same(one: Bearer, other: Bearer, *, by_likeness: bool) -> bool:
    if not _may_be_one(one, other):
        return False
    if not by_likeness:
        return True
    if is_of_spans(one.call) == is_of_spans(other.call):
        return False  # a file, and a sender, each tell of a call once
    return _touch(one.call, other.call, SLACK_NS)


def _may_be_one(one: Bearer, other: Bearer) -> bool:
    """Return whether no id speaks against it: two requests are two calls."""
    for kind in (_REQUEST, _ANSWER):
        mine = {key for key in one.keys if key.startswith(kind)}
        its = {key for key in other.keys if key.startswith(kind)}
        if mine and its and not mine & its:
            return False
    return True


def _fit(one: LlmCall, other: LlmCall) -> bool:
    if one.started_ns is None or other.started_ns is None:
        return one.session_id == other.session_id
    both_files = not is_of_spans(one) and not is_of_spans(other)
    return _touch(one, other, 0 if both_files else SLACK_NS)


def _touch(one: LlmCall, other: LlmCall, slack_ns: int) -> bool:
    if one.started_ns is None or other.started_ns is None:
        return False
    return one.started_ns - slack_ns <= other.started_ns + (
        other.duration_ns or 0
    ) and other.started_ns - slack_ns <= one.started_ns + (one.duration_ns or 0)


def _distance_ns(one: LlmCall, other: LlmCall) -> int:
    return abs((one.started_ns or 0) - (other.started_ns or 0))


def _likeness(call: LlmCall) -> tuple[str, int, int]:
    return call.session_id, call.usage.input_tokens, call.usage.output_tokens


def _is_of_answer(key: object) -> bool:
    return isinstance(key, str) and key.startswith(_ANSWER)

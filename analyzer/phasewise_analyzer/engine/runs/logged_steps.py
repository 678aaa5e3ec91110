"""Steps that a running engine logged, put on its own clock, with the calls that were in each.

vLLM tells a stat logger what each step computed, how long ago the sequences that go on had their
last token, and, when a call ends, how long its phases took. A gap between tokens is the time from
one step's end to the next, so steps in a row are exact; the first step after an idle engine began
when the calls were scheduled whose first token it brought. `shared_steps` shares their time.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from phasewise_analyzer.engine.step_times.batch import Batch, Chunk

SAME_S = 1e-5
"""times of one step that were computed in two ways differ by rounding only"""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call whose last token a step brought; times by the engine's clock."""

    call_id: str
    """as the engine names it in its response"""
    prompt_tokens: int
    cached_tokens: int
    """of the prompt, those that were not computed"""
    output_tokens: int
    prefill_s: float
    """from when it was scheduled to its first token"""
    decode_s: float
    """from its first token to its last"""
    preemptions: int = 0


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step as it was logged."""

    at_s: float
    """when it was logged: at its end, or a little later"""
    prefill_tokens: int
    decode_requests: int
    decode_tokens: int
    """more than requests where drafts are verified, or a preempted sequence is computed again"""
    first_tokens: int
    """calls that got their first token"""
    more_tokens: int
    """calls that got another one"""
    gap_s: float | None
    """since the last token of one of these, the shortest; None where there are none"""
    ended: tuple[EndedCall, ...] = ()

    @property
    def emits(self) -> bool:
        """Whether it brought a token."""
        return self.first_tokens > 0 or self.gap_s is not None


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """One step with its time and its calls."""

    begin_s: float
    end_s: float
    batch: Batch
    reading: tuple[int, ...]
    """calls whose prompts it reads, in the order of the batch's chunks: places in `calls`"""
    decoding: tuple[tuple[int, int], ...]
    """calls that decode, with their context"""
    recomputing: bool = False
    """whether its last chunk is of a sequence that was preempted"""

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.end_s - self.begin_s

    @property
    def known(self) -> bool:
        """Whether its calls are known: they have ended."""
        return bool(self.reading or self.decoding)


@dataclass(frozen=True, slots=True)
class Placed:
    """All steps of an engine in a stretch of time, and the calls that ended in it."""

    steps: tuple[PlacedStep, ...]
    calls: tuple[EndedCall, ...]


@dataclass(slots=True)
class _Call:
    """A call on its way through the steps."""

    place: int
    ended: EndedCall
    first: int
    """the step that brought its first token"""
    last: int
    read: int = 0
    """prompt tokens computed so far"""

    @property
    def left(self) -> int:
        """Prompt tokens that are still to be computed."""
        return max(0, self.ended.prompt_tokens - self.ended.cached_tokens - self.read)

    def context(self, step: int) -> int:
        """Return its context in a decode step, the new token included."""
        steps = max(1, self.last - self.first)
        tokens = (step - self.first) * max(1, self.ended.output_tokens - 1) / steps
        return self.ended.prompt_tokens + round(tokens)


def place(logged: Sequence[LoggedStep], *, drafts: bool = False) -> Placed:
    """Return the steps on the engine's clock; `drafts` is whether the engine speculates."""
    ends, chains = _ends(logged)
    calls = _calls(logged, ends)
    begins = _fill(logged, ends, chains, calls)
    steps = []
    # of those that get their first token in one step, who was scheduled earlier was read before
    upcoming = sorted(calls, key=lambda call: (call.first, -call.ended.prefill_s))
    decoding: list[_Call] = []
    at = 0
    for step, (one, begin_s, end_s) in enumerate(zip(logged, begins, ends, strict=True)):
        decoding = [call for call in decoding if call.last >= step]
        chunks = _chunks(upcoming, at, step, one.prefill_tokens)
        steps.append(_placed(one, begin_s, end_s, chunks, decoding, step=step, drafts=drafts))
        while at < len(upcoming) and upcoming[at].first == step:
            if upcoming[at].last > step:
                decoding.append(upcoming[at])
            at += 1
    return Placed(tuple(steps), tuple(call.ended for call in calls))


def _ends(logged: Sequence[LoggedStep]) -> tuple[list[float], list[int]]:
    """Return the end of each step that brings tokens, NaN for others, and its chain.

    Steps of a chain follow one another through sequences that go on; a chain lies where the log
    was least late.
    """
    ends, chains = [math.nan] * len(logged), [-1] * len(logged)
    last = -1
    members: list[list[int]] = []
    for step, one in enumerate(logged):
        if not one.emits:
            continue
        if one.gap_s is not None and last >= 0:
            ends[step], chains[step] = _end(logged, ends, members[-1], step), chains[last]
            members[-1].append(step)
        else:
            ends[step], chains[step] = 0.0, len(members)
            members.append([step])
        last = step
    for chain in members:
        begin_s = min(logged[step].at_s - ends[step] for step in chain)
        for step in chain:
            ends[step] += begin_s
    return ends, chains


def _end(
    logged: Sequence[LoggedStep], ends: Sequence[float], chain: Sequence[int], step: int
) -> float:
    """Return the end of a step by its gap to an earlier step of its chain.

    That is the last one, unless all of its calls have ended. Then a preempted call goes on, whose
    last token is older; of the times that its gap allows, the one closest to the log line counts.
    """
    gap_s, last = logged[step].gap_s or 0.0, chain[-1]
    before = logged[last]
    if before.first_tokens + before.more_tokens > len(before.ended):
        return ends[last] + gap_s
    seen_s = ends[last] + logged[step].at_s - before.at_s
    later = [end for at in chain if (end := ends[at] + gap_s) > ends[last]]
    return min(later, key=lambda end: abs(end - seen_s))


def _calls(logged: Sequence[LoggedStep], ends: Sequence[float]) -> list[_Call]:
    """Return the calls that ended, with the steps of their first and last tokens."""
    emitting = [step for step, one in enumerate(logged) if one.emits]
    times = [ends[step] for step in emitting]
    found: list[_Call] = []
    for step, one in enumerate(logged):
        for ended in one.ended:
            first_s = ends[step] - ended.decode_s
            at = bisect.bisect_left(times, first_s - SAME_S)
            near = emitting[max(0, at - 1) : at + 2]
            first = min(near, key=lambda other: abs(ends[other] - first_s))
            found.append(_Call(len(found), ended, min(first, step), step))
    return found


def _fill(
    logged: Sequence[LoggedStep],
    ends: list[float],
    chains: Sequence[int],
    calls: Sequence[_Call],
) -> list[float]:
    """Give steps without tokens an end, too, and return when each step began."""
    longest: dict[int, float] = {}
    for call in calls:
        longest[call.first] = max(longest.get(call.first, 0.0), call.ended.prefill_s)
    emitting = [step for step, one in enumerate(logged) if one.emits]
    begins = [0.0] * len(logged)
    for before, step in pairwise([-1, *emitting]):
        floor_s = -math.inf if before < 0 else ends[before]
        gap_s = logged[step].gap_s
        if before >= 0 and chains[step] == chains[before]:
            begin_s = floor_s
        elif gap_s is not None:
            begin_s = ends[step] - gap_s
        else:
            begin_s = max(floor_s, ends[step] - longest.get(step, 0.0))
        ends[step] = max(ends[step], begin_s)  # chains lie where the log was least late
        for between in range(before + 1, step):
            begins[between] = begin_s
            seen_s = ends[step] - (logged[step].at_s - logged[between].at_s)
            begin_s = ends[between] = min(max(begin_s, seen_s), ends[step])
        begins[step] = begin_s
    for step in range(emitting[-1] + 1 if emitting else 0, len(logged)):
        begins[step] = ends[step] = logged[step].at_s  # of a call that never got a token
    return begins


def _chunks(
    upcoming: Sequence[_Call], at: int, step: int, tokens: int
) -> list[tuple[_Call, Chunk]]:
    """Deal the prompt tokens of a step out: first to calls whose first token it brings."""
    found = []
    for place in range(at, len(upcoming)):
        call = upcoming[place]
        due = call.first == step
        new = call.left if due else min(call.left, tokens)
        if not due and new <= 0:
            break
        if new > 0:
            found.append((call, Chunk(new, call.ended.cached_tokens + call.read)))
        call.read += new
        tokens -= new
    return found


def _placed(
    one: LoggedStep,
    begin_s: float,
    end_s: float,
    chunks: Sequence[tuple[_Call, Chunk]],
    decoding: Sequence[_Call],
    *,
    step: int,
    drafts: bool,
) -> PlacedStep:
    """Put a step together; sequences that were preempted are in it as far as it has room."""
    inside = list(decoding)
    more = one.decode_tokens - one.decode_requests
    waited = [call for call in inside if call.ended.preemptions]
    reading, parts = [call.place for call, _ in chunks], [chunk for _, chunk in chunks]
    recomputing = more > 0 and not drafts and bool(waited)
    if recomputing:
        inside.remove(waited[0])
        reading.append(waited[0].place)
        parts.append(Chunk(more + 1, 0))
    room = one.decode_requests - recomputing
    while len(inside) > room and (waited := [call for call in inside if call.ended.preemptions]):
        inside.remove(waited[-1])
    contexts = [(call.place, call.context(step)) for call in inside]
    batch = Batch(
        tuple(parts),
        decodes=len(contexts),
        context=sum(context for _, context in contexts),
        longest=max((context for _, context in contexts), default=0),
        drafts=more if drafts and contexts else 0,
    )
    return PlacedStep(begin_s, end_s, batch, tuple(reading), tuple(contexts), recomputing)

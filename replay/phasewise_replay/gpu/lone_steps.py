"""Sessions of designed size: one kind of engine step each, to time a step by what it computes.

prefill n       a prompt of n new tokens, one output token
cached [c, n]   n new tokens after c cached ones: the session's first call caches them
decode n        outputs behind contexts of n tokens in `batch` sequences, cached beforehand
mixed [n, m]    the same, while a prompt of m tokens is prefilled

No other session has these prompts, so nothing is cached by accident. In a batch, every sequence has
a context of its own: a shared one would be read from the GPU's L2 cache.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment
from phasewise_store.segments import block_segment

from phasewise_replay.sessions.recorded import RecordedSession, RecordedStep
from phasewise_replay.verdicts.time_facts import StepKind

PREFILL_TOKENS_S = 25_000
"""of an 8B model on one Hopper GPU, at least: so long a batch waits until its contexts are cached.
Where that was too short, the calls report fewer cached tokens than their context."""
INTO_DECODE_NS = 250_000_000
"""so long after the decodes a mixed prefill starts"""

Prompt = tuple[Segment, ...]

_PREFILL = re.compile(r"prefill (?P<new>\d+)(?: after (?P<cached>\d+))? #\d+")
_DECODE = re.compile(r"decode (?P<cached>\d+) batch (?P<batch>\d+) #\d+")
_MIXED = re.compile(r"mixed (?P<cached>\d+) batch (?P<batch>\d+) prefill (?P<new>\d+) prefill")


@dataclass(frozen=True, slots=True)
class Steps:
    """The sizes, in tokens; with a batch above 1, one decode or one mixed step."""

    prefill: tuple[int, ...] = ()
    cached: tuple[tuple[int, int], ...] = ()
    """cached tokens and new ones"""
    decode: tuple[int, ...] = ()
    mixed: tuple[tuple[int, int], ...] = ()
    """context of the decoding sequences, and the prompt that is prefilled meanwhile"""
    batch: int = 1
    """sequences that decode at the same time"""
    repeats: int = 1
    """of each prefill, with prompts of its own"""
    output_tokens: int = 64
    """of each decode"""

    def __post_init__(self) -> None:
        """Refuse steps that would overlap; raises UsageError."""
        together = self.batch > 1 or self.mixed
        if together and (self.prefill or self.cached or len(self.decode + self.mixed) != 1):
            raise UsageError(
                "`steps` with a `batch` or `mixed` must have exactly one `decode` or `mixed` size, "
                "because other steps would run at the same time; use one stage for each"
            )

    @property
    def concurrency(self) -> int:
        """Sessions in flight: the batch, the session that caches its contexts, the prefill."""
        return self.batch + 1 + len(self.mixed) if self.batch > 1 or self.mixed else 1


@dataclass(frozen=True, slots=True)
class Designed:
    """What a call of a designed session times."""

    kind: StepKind
    new: int
    """prompt tokens it computes; of a decode 0"""
    cached: int
    """tokens before them, or the context of each sequence that decodes"""
    batch: int
    """sequences that decode"""


def designed(session_id: str, step: int) -> Designed | None:
    """Return what a call times; None for one that only caches contexts, and for recorded ones."""
    kinds: tuple[tuple[StepKind, re.Pattern[str]], ...] = (
        ("prefill", _PREFILL),
        ("decode", _DECODE),
        ("mixed", _MIXED),
    )
    for kind, pattern in kinds:
        if (match := pattern.fullmatch(session_id)) is not None:
            sizes = {name: int(size) for name, size in match.groupdict().items() if size}
            if kind == "prefill" and "cached" in sizes and step == 0:
                return None
            return Designed(
                kind, sizes.get("new", 0), sizes.get("cached", 0), sizes.get("batch", 0)
            )
    return None


def sessions(steps: Steps) -> tuple[RecordedSession, ...]:
    """Return the session or sessions of each step."""
    return tuple(_sessions(steps))


def _sessions(steps: Steps) -> Iterator[RecordedSession]:
    for again in range(steps.repeats):
        for new in steps.prefill:
            name = f"prefill {new} #{again}"
            yield _session(name, [_prompt(name, new)])
        for cached, new in steps.cached:
            name = f"prefill {new} after {cached} #{again}"
            head = _prompt(name, cached)
            yield _session(name, [head, head + _prompt(f"{name} new", new)])
    for context in steps.decode:
        yield from _decodes(f"decode {context} batch {steps.batch}", context, steps)
    for context, new in steps.mixed:
        name = f"mixed {context} batch {steps.batch} prefill {new}"
        yield from _decodes(name, context, steps)
        wait_ns = _caching_ns(context, steps) + INTO_DECODE_NS
        yield _session(f"{name} prefill", [_prompt(name, new)], wait_ns=wait_ns)


def _decodes(name: str, context: int, steps: Steps) -> Iterator[RecordedSession]:
    prompts = [_prompt(f"{name} {place}", context) for place in range(steps.batch)]
    yield _session(f"{name} contexts", prompts)
    for place, prompt in enumerate(prompts):
        yield _session(
            f"{name} #{place}",
            [prompt],
            output_tokens=steps.output_tokens,
            wait_ns=_caching_ns(context, steps),
        )


def _caching_ns(context: int, steps: Steps) -> int:
    """Return how long the contexts may take; one session at a time need not wait."""
    return steps.batch * context * 10**9 // PREFILL_TOKENS_S if steps.concurrency > 1 else 0


def _prompt(name: str, tokens: int) -> Prompt:
    return (block_segment(name.encode(), 0, tokens),)


def _session(
    name: str, prompts: Sequence[Prompt], *, output_tokens: int = 1, wait_ns: int = 0
) -> RecordedSession:
    return RecordedSession(
        name,
        tuple(
            RecordedStep(f"{name}.{step}", step, prompt, output_tokens, wait_ns)
            for step, prompt in enumerate(prompts)
        ),
    )

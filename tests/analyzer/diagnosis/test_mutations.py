"""Inject thousands of changes into requests of four APIs: each is seen, and none is misnamed."""

import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from phasewise_analyzer.diagnosis import causes
from phasewise_analyzer.diagnosis.across import diagnose_across
from phasewise_analyzer.diagnosis.diagnose import Diagnosis, diagnose
from phasewise_store.facts import Segment

from tests.analyzer.diagnosis.bodies import BODY_CHANGES
from tests.analyzer.diagnosis.conversations import conversation, goes_on
from tests.analyzer.diagnosis.mutations import MUTATIONS
from tests.analyzer.diagnosis.shapes import SHAPES, segments

CASES = 14
"""of each change and shape"""
TRIES = 60
"""of making one case: not every conversation has an image, a second call, or thinking"""

Prompt = Sequence[Segment]


def _cases(name: str, shape: str) -> list[tuple[Prompt, Prompt]]:
    mutation = MUTATIONS[name]
    made: list[tuple[Prompt, Prompt]] = []
    for seed in range(TRIES):
        rng = random.Random(f"{name} {shape} {seed}")
        changed = mutation.change(rng, conversation(rng))
        if changed is None:
            continue
        old, new = changed
        if rng.random() < 0.5:
            new = goes_on(rng, new)
        one, two = (segments(SHAPES[shape](version)) for version in (old, new))
        if one == two[: len(one)]:
            # this API has no place for what was changed
            continue
        made.append((one, two))
        if len(made) == CASES:
            break
    return made


def _body_cases(name: str, shape: str) -> list[tuple[Prompt, Prompt]]:
    made: list[tuple[Prompt, Prompt]] = []
    for seed in range(TRIES):
        rng = random.Random(f"{name} {shape} {seed}")
        base = conversation(rng)
        old = SHAPES[shape](base)
        new = SHAPES[shape](goes_on(rng, base) if rng.random() < 0.5 else base)
        if BODY_CHANGES[name].change(rng, shape, old, new):
            made.append((segments(old), segments(new)))
        if len(made) == CASES:
            break
    return made


def _misnamed(
    found: Diagnosis | None, expected: causes.Cause | None, name: str, shape: str
) -> str | None:
    cause = None if found is None else found.cause
    if cause == expected:
        return None
    named = "nothing" if cause is None else cause.name
    shows = (
        ""
        if found is None
        else f" at {found.place} {found.path}: {found.before!r} -> {found.after!r}"
    )
    return f"{name} ({shape}) was named {named}{shows}"


def test_every_injected_change_is_seen_and_none_misnamed() -> None:
    """More than 2,000 changes of more than 20 causes in four shapes; failures are listed."""
    counts: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    for shape in SHAPES:
        for name, mutation in MUTATIONS.items():
            judge = diagnose_across if mutation.across else diagnose
            for old, new in _cases(name, shape):
                counts[name, shape] += 1
                wrong += filter(None, [_misnamed(judge(old, new), mutation.cause, name, shape)])
        for name, change in BODY_CHANGES.items():
            for old, new in _body_cases(name, shape):
                counts[name, shape] += 1
                wrong += filter(None, [_misnamed(diagnose(old, new), change.cause, name, shape)])
    _show(counts)
    assert not wrong, f"{len(wrong)} of {counts.total()}:\n" + "\n".join(wrong[:999])
    assert counts.total() >= 2_000
    named = {MUTATIONS[name].cause for name, _ in counts if name in MUTATIONS}
    assert len(named) >= 20
    assert all(sum(counts[name, shape] for shape in SHAPES) >= CASES for name in MUTATIONS)


def _show(counts: Counter[tuple[str, str]]) -> None:
    names = dict.fromkeys(name for name, _ in counts)
    lines = ["", f"{'change':28}" + "".join(f"{shape:>11}" for shape in SHAPES)]
    for name in names:
        lines.append(f"{name:28}" + "".join(f"{counts[name, shape]:>11}" for shape in SHAPES))
    lines.append(f"{'all':28}" + "".join(f"{_sum(counts, shape):>11}" for shape in SHAPES))
    lines.append(f"{counts.total()} changes of {len(names)} kinds")
    sys.stdout.write("\n".join(lines) + "\n")


def _sum(counts: Counter[tuple[str, str]], shape: str) -> int:
    return sum(count for (_, one), count in counts.items() if one == shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_conversation_that_only_grows_never_breaks(shape: str) -> None:
    """Sixty sessions with parallel calls, thinking and images, each prompt against all before."""
    for seed in range(60):
        rng = random.Random(f"grows {shape} {seed}")
        made = conversation(rng, 1)
        prompts = [segments(SHAPES[shape](made))]
        for _ in range(5):
            made = goes_on(rng, made)
            prompts.append(segments(SHAPES[shape](made)))
            assert all(diagnose(old, prompts[-1]) is None for old in prompts)
            assert diagnose_across(prompts[0], prompts[-1]) is None


def test_real_conversations_that_grow_never_break(shared_traces: Path) -> None:
    """A hundred recorded runs of an airline's agent: each call goes on from the one before it."""
    with gzip.open(shared_traces / "tau-bench" / "gpt-4o-airline.tasks00-24.json.gz") as opened:
        runs = json.load(opened)
    compared = 0
    for run in runs:
        said = run["traj"]
        ends = [place for place, message in enumerate(said) if message["role"] == "assistant"]
        prompts = [segments({"messages": said[:end]}) for end in ends]
        for old, new in pairwise(prompts):
            assert diagnose(old, new) is None
            compared += 1
    assert compared > 1_000


@pytest.mark.parametrize("shape", SHAPES)
def test_two_conversations_of_one_agent_share_what_they_should(shape: str) -> None:
    """The same tools and system prompt, another history: no break across conversations."""
    for seed in range(60):
        rng = random.Random(f"two {shape} {seed}")
        one, two = conversation(rng), conversation(rng)
        two = type(one)(one.tools, one.system, two.turns, two.salt)
        old, new = segments(SHAPES[shape](one)), segments(SHAPES[shape](two))
        assert diagnose_across(old, new) is None

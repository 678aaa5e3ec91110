"""Start sessions in the middle: their earlier prompts fill the cache, and are not measured.

Of the calls before the start those are sent whose prompt no later one of them continues: the end of
every agent's history, in recorded order. Their prompts hold all that the others would have left in
the cache. A call that is measured waits for the last of them, where it waited for none that is
measured.  Pure.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from phasewise_replay.plans.plan import WarmStart
from phasewise_replay.sessions.lots import lot
from phasewise_replay.sessions.recorded import Recorded, RecordedSession, RecordedStep
from phasewise_replay.sessions.selection import Started


def start_late(recorded: Recorded, start: WarmStart, seed: int) -> Recorded:
    """Return the sessions from their start on, and note it in how they were chosen.

    Sessions that have no call after it are left out.
    """
    found: list[RecordedSession] = []
    calls = filling = 0
    for session in recorded.sessions:
        before = _before(session, start, seed)
        if before < len(session.steps):
            started = _started(session, before)
            filling += len(started.steps) - len(session.steps) + before
            calls += before
            found.append(started)
    too_short = len(recorded.sessions) - len(found)
    at = Started(start, seed if start == "random" else None, calls, filling, too_short)
    ids = {session.session_id for session in found}
    selections = (
        replace(one, session_ids=tuple(name for name in one.session_ids if name in ids), started=at)
        for one in recorded.selections
    )
    return replace(recorded, sessions=tuple(found), selections=tuple(selections))


def start_again(session: RecordedSession, warm: Collection[str]) -> RecordedSession:
    """Return a session whose calls are known, with those marked that only fill the cache."""
    filling = [step for step in session.steps if step.call_id in warm]
    late = [step for step in session.steps if step.call_id not in warm]
    return _joined(session, filling, late)


def _before(session: RecordedSession, start: WarmStart, seed: int) -> int:
    """Return how many calls are before the start."""
    calls = len(session.steps)
    if start == "random":
        return lot(seed, f"start of {session.session_id}") % calls
    return math.floor(calls * start) if start < 1 else int(start)


def _started(session: RecordedSession, before: int) -> RecordedSession:
    early, late = session.steps[:before], session.steps[before:]
    return _joined(session, _ends(early), late)


def _joined(
    session: RecordedSession, filling: Sequence[RecordedStep], late: Sequence[RecordedStep]
) -> RecordedSession:
    if not filling:
        return replace(session, steps=tuple(late))
    steps: list[RecordedStep] = []
    for step in filling:
        after: tuple[str, ...] = (steps[-1].call_id,) if steps else ()
        steps.append(replace(step, output_tokens=1, wait_ns=0, after=after, warm=True))
    last, ids = filling[-1].call_id, {step.call_id for step in late}
    for place, step in enumerate(late):
        if step.after is None:
            after = (late[place - 1].call_id if place else last,)
        else:
            after = tuple(one for one in step.after if one in ids) or (last,)
        steps.append(replace(step, after=after))
    return replace(session, steps=tuple(steps))


def _ends(steps: Sequence[RecordedStep]) -> list[RecordedStep]:
    """Return the calls whose prompt no later one continues; of equal prompts the last."""
    nodes: dict[tuple[int, bytes], int] = {}
    inner: set[int] = set()
    ends: dict[int, RecordedStep] = {}
    for step in steps:
        node = 0
        for segment in step.prompt:
            inner.add(node)
            node = nodes.setdefault((node, segment.digest), len(nodes) + 1)
        ends[node] = step
    kept = {step.call_id for node, step in ends.items() if node not in inner}
    return [step for step in steps if step.call_id in kept]

"""Try before measuring: start each chosen arm small, send one prompt, and fall back where it fails.

The trials of one level run at the same time. All arms then run with the same fallbacks, because
arms are compared; an arm that works with none of them is unsupported, and the others still run.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from phasewise_store.errors import EngineError, MissingExtraError

from phasewise_replay.engine import Engine, Request
from phasewise_replay.gpu.kit_plan import Flags, Smoke
from phasewise_replay.plans.arms import VllmArm
from phasewise_replay.plans.presets import FlagValue

PROMPT_TOKENS = 600
OUTPUT_TOKENS = 4
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """One arm at one level of fallbacks."""

    arm: str
    level: int
    """how many of the fallbacks it ran with"""
    seconds: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known before anything is measured."""

    trials: tuple[Trial, ...]
    flags: Flags
    """fallbacks with which all arms run"""
    unsupported: dict[str, str]
    """arms that worked at no level, and why"""


def smoke(plan: Smoke, arms: Sequence[VllmArm], engine_for: Callable[[VllmArm], Engine]) -> Outcome:
    """Try the plan's arms."""
    pending = [arm for arm in arms if arm.name in plan.arms]
    trials: list[Trial] = []
    needed = 0
    flags: dict[str, FlagValue] = {}
    reached: Flags = {}
    for level, more in enumerate(({}, *plan.fallbacks)):
        if not pending:
            break
        flags |= more
        tried = [replace(arm, flags={**arm.flags, **plan.flags, **flags}) for arm in pending]
        results = [replace(one, level=level) for one in _together(tried, engine_for)]
        trials += results
        failed = {one.arm for one in results if one.error is not None}
        if len(failed) < len(pending):
            needed, reached = level, dict(flags)
        pending = [arm for arm in pending if arm.name in failed]
    reasons = {one.arm: one.error for one in trials if one.error is not None}
    unsupported = {arm.name: reasons[arm.name] or "" for arm in pending}
    return Outcome(tuple(trials), reached if needed else {}, unsupported)


def _together(arms: Sequence[VllmArm], engine_for: Callable[[VllmArm], Engine]) -> Iterator[Trial]:
    """Start all arms, wait for all; on an interruption every engine is stopped."""
    engines = [engine_for(arm) for arm in arms]
    found: dict[str, Trial] = {}
    ending = threading.Event()

    def attempt(arm: VllmArm, engine: Engine) -> None:
        began_s = time.monotonic()
        try:
            error = _error(engine)
        except RuntimeError:
            if ending.is_set():
                return  # the engine was stopped while it was starting
            raise
        found[arm.name] = Trial(arm.name, 0, time.monotonic() - began_s, error)

    threads = [
        threading.Thread(target=attempt, args=pair, daemon=True)
        for pair in zip(arms, engines, strict=True)
    ]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(POLL_S)
    finally:
        ending.set()
        for engine in engines:
            engine.stop()
    for arm in arms:
        yield found[arm.name]


def _error(engine: Engine) -> str | None:
    """Start an engine and send one prompt; return what went wrong."""
    ids = np.arange(1000, 1000 + PROMPT_TOKENS)
    request = Request("smoke", "smoke", "smoke", 0, OUTPUT_TOKENS, prompt_token_ids=ids)
    try:
        engine.start()
        answer = engine.send(request)
    except (EngineError, MissingExtraError) as error:
        return str(error)
    finally:
        engine.stop()
    if answer.error is None and answer.output_tokens != OUTPUT_TOKENS:
        return f"{answer.output_tokens} output tokens instead of {OUTPUT_TOKENS}"
    return answer.error

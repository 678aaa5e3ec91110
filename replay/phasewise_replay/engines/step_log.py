"""Reads the steps that `vllm_step_log` wrote, and shares their time among the calls."""

import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
from phasewise_analyzer.engine.runs import logged_steps, shared_steps
from phasewise_analyzer.engine.runs.logged_steps import EndedCall, LoggedStep

from phasewise_replay.engine import PhaseSeconds, Unmeasured

SETTLE_S = 0.1
"""the line of a step may be written a little after its tokens have arrived"""
NOT_LOADED = "vLLM did not load the step log; does the arm turn its statistics off?"
NO_STEPS = "the step log has no steps"
_CALL = tuple(one.name for one in fields(EndedCall))
_STEP = tuple(one.name for one in fields(LoggedStep) if one.name != "ended")
"""what is read of a line, under the plugin's names"""
FIRST = "-0"
"""vLLM numbers the prompts of a completion request, of which ours have one"""
UNKNOWN = "the calls of some steps did not end"


class StepLog:
    """The log of one server; read from a mark on."""

    def __init__(self, path: Path, *, drafts: bool) -> None:
        """Read this file, of an engine that verifies drafts or does not."""
        self._path = path
        self.drafts = drafts
        self._mark = 0

    def mark(self) -> None:
        """Read from here on; no request is in flight."""
        time.sleep(SETTLE_S)
        self._mark = self._path.stat().st_size if self._path.exists() else 0

    def steps(self) -> dict[int, list[LoggedStep]]:
        """Return the steps since the mark, by data-parallel engine."""
        time.sleep(SETTLE_S)
        with self._path.open("rb") as file:
            file.seek(self._mark)
            return read(file.read())

    def shared(self) -> PhaseSeconds | Unmeasured:
        """Return the time of the steps since the mark, by phase and by call."""
        if not self._path.exists():
            return Unmeasured(NOT_LOADED)
        by_engine = self.steps()
        if not by_engine:
            return Unmeasured(NO_STEPS)
        placed = [logged_steps.place(steps, drafts=self.drafts) for steps in by_engine.values()]
        found = shared_steps.share(placed)
        if found.unknown:
            return Unmeasured(UNKNOWN)
        ranks = len(placed)
        low_s, high_s = found.prefill_band_s
        return PhaseSeconds(
            found.prefill_s / ranks,
            found.decode_s / ranks,
            prefill_band_s=(low_s / ranks, high_s / ranks),
            steps=found.steps,
            mixed=found.mixed,
            calls={name.removesuffix(FIRST): parts for name, parts in found.calls.items()},
            own_s={
                one.call_id.removesuffix(FIRST): (one.prefill_s, one.decode_s)
                for steps in by_engine.values()
                for step in steps
                for one in step.ended
            },
        )


def read(written: bytes) -> dict[int, list[LoggedStep]]:
    """Return the steps of each data-parallel engine, in their order; a cut line is left out."""
    found: dict[int, list[LoggedStep]] = {}
    for line in written[: written.rfind(b"\n") + 1].splitlines():
        row = orjson.loads(line)
        found.setdefault(row["engine"], []).append(_step(row))
    return found


def _step(row: Mapping[str, Any]) -> LoggedStep:
    ended = tuple(EndedCall(**{name: one[name] for name in _CALL}) for one in row["ended"])
    return LoggedStep(**{name: row[name] for name in _STEP}, ended=ended)

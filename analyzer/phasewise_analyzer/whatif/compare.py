"""Compute a what-if: as billed, own rules, other rules, repairs, breakpoints."""

from dataclasses import dataclass, replace

import numpy as np
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_analyzer import rollups
from phasewise_analyzer.breaks.facts import Finding
from phasewise_analyzer.caches.requests import Requests
from phasewise_analyzer.diagnosis.causes import Cause
from phasewise_analyzer.whatif import first_token, layout, planner, repricing
from phasewise_analyzer.whatif.facts import Repairs, WhatIf
from phasewise_analyzer.whatif.first_token import FirstTokenModel
from phasewise_analyzer.whatif.recorded_bill import billed
from phasewise_analyzer.whatif.repairing import Rules, repairs
from phasewise_analyzer.whatif.repricing import Books, Calls, Step, Trial
from phasewise_analyzer.whatif.scenario import Scenario, lifetimes, own_policies


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked."""

    baseline: Scenario
    others: tuple[Scenario, ...] = ()
    causes: frozenset[Cause] = frozenset()
    """to be repaired"""
    findings: tuple[Finding, ...] = ()
    """what breaks the prompts in scope, and where"""
    breakpoints: bool = False
    """whether to plan them"""


def compare(
    store: Store,
    requests: Requests,
    wanted: Wanted,
    books: Books,
    scope: Scope = EVERYTHING,
    *,
    step: Step | None = None,
) -> WhatIf:
    """Simulate all that is wanted; prompts are repaired where all of them are known as text."""
    calls = Calls(requests)
    trials = [Trial(one, books) for one in (wanted.baseline, *wanted.others)]
    repricing.serve(calls, trials, step=step)
    waits = _waits(calls, trials[0])
    baseline, *others = (trial.outcome(calls, waits) for trial in trials)
    found: Repairs | None = None
    if wanted.causes:
        longest = _longest(requests, wanted.baseline, books)
        rules = Rules(wanted.baseline, books, waits, longest, requests.tokenizers)
        laid = layout.read(store, scope)
        hidden = baseline.calls - len(laid)
        if laid and not hidden:
            found = repairs(laid, wanted.findings, wanted.causes, rules, tell=step)
    plans = planner.plans(calls, books, tell=step) if wanted.breakpoints else ()
    recorded = rollups.totals(store, scope)
    return WhatIf(recorded, billed(requests), baseline, tuple(others), found, plans)


def _waits(calls: Calls, baseline: Trial) -> FirstTokenModel | None:
    """Fit the model of the first token; what no source reports as cached is taken as simulated."""
    reported = calls.column("cache_reported") > 0
    seen = calls.column("input_tokens") - calls.column("cache_read_tokens")
    new = np.where(reported, seen, baseline.new_tokens()).astype(np.int64)
    return first_token.fit(
        new,
        calls.input_tokens,
        calls.column("output_tokens"),
        calls.column("ttft_ns") / 1e9,
        calls.column("duration_ns") / 1e9,
    )


def _longest(requests: Requests, baseline: Scenario, books: Books) -> Scenario | None:
    """Return the baseline with the longest lifetime that its rules have; None where it has that."""
    own = own_policies(requests, books.rules) if baseline.policy is None else (baseline.policy,)
    lives = lifetimes(own)
    if not lives or baseline.lifetime is not None:
        return None
    name = list(lives)[-1]
    if all(one.default_lifetime == name or name not in one.lifetimes_s for one in own):
        return None
    return replace(baseline, name=f"lifetime {name}", lifetime=name)

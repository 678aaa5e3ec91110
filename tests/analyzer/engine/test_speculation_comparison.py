"""Methods compared on captured calls: sums per group, and decode time at a batch size by hand."""

from dataclasses import replace

import numpy as np
import pytest
from phasewise_analyzer.engine.deployments.deployment import Deployment
from phasewise_analyzer.engine.outcomes.speculation_methods import (
    Measured,
    best_ngram,
    decode_change,
    measure,
    ngram_settings,
    reach,
)
from phasewise_analyzer.engine.schedulers.drafts import Acceptance
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.captured_calls import CapturedCall, CapturedCalls
from phasewise_analyzer.engine.speculation.config import (
    NgramConfig,
    SpeculationConfig,
    SuffixConfig,
)
from phasewise_analyzer.engine.speculation.drafting_time import NGRAM_TOKEN_S, STEP_S
from phasewise_analyzer.engine.step_times.batch import Batch
from phasewise_store.scope import Scope
from phasewise_store.store import Store

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.replay.recorded import write_repeating_sessions

TIMES = MadeUpTimes()
ENGINE = Deployment("made up", TIMES, SchedulerConfig(block_size=16), None)
HALF = Measured("a", NgramConfig(4), Acceptance(1, 100, 50, 200, 100), 1000, 201, 60)
"""two draft tokens per step, of which one is accepted: two tokens per step"""


def test_groups_are_agents_sessions_or_calls(store: Store) -> None:
    """Each method has a row per group, in the order of the groups' first calls."""
    write_repeating_sessions(store, 2)
    calls = list(CapturedCalls(store, Scope()))
    configs: list[SpeculationConfig] = [NgramConfig(4, 2, 4), SuffixConfig(24)]
    agents = measure(calls, configs, "agent")
    assert [(one.group, one.config) for one in agents] == [("a", one) for one in configs]
    assert agents[0].acceptance.calls == 4
    assert agents[0].output_tokens == sum(len(one.output) for one in calls)
    assert agents[0].prompt_tokens == sum(len(one.prompt) for one in calls)
    sessions = measure(calls, configs, "session")
    assert [one.group for one in sessions] == ["s0", "s0", "s1", "s1"]
    assert sum(one.acceptance.drafted for one in sessions[::2]) == agents[0].acceptance.drafted
    assert [one.group for one in measure(calls, configs[:1], "call")][1] == "s0.1"


def test_the_mean_context_is_weighted_by_output_tokens() -> None:
    """Ten tokens behind a prompt of 100, thirty behind one of 20: (10·105 + 30·35) / 40."""
    calls = [
        CapturedCall("c", "s", "a", np.arange(prompt), np.arange(output), output, 0)
        for prompt, output in ((100, 10), (20, 30))
    ]
    (found,) = measure(calls, [NgramConfig(4)], "agent")
    assert found.context == (10 * 105 + 30 * 35) // 40


def test_decode_time_per_token_is_that_of_a_step_over_its_tokens() -> None:
    """Three sequences verify six drafts and generate two tokens each."""
    change = decode_change(HALF, ENGINE, 3)
    assert change is not None
    plain = TIMES.step_s(Batch(decodes=3, context=180, longest=60))
    drafted = TIMES.step_s(Batch(decodes=3, context=186, longest=62, drafts=6))
    host_s = STEP_S + NGRAM_TOKEN_S * (186 + 3 * 1000 / 100)
    assert change.undrafted_s == plain
    assert change.drafted_s == pytest.approx((drafted + host_s) / 2)
    assert change.change == pytest.approx((drafted + host_s) / 2 / plain - 1)


def test_a_batch_that_does_not_fit_has_no_time() -> None:
    """A context of 60 tokens takes four blocks: ten sequences fit in 40."""
    small = replace(ENGINE, blocks=40)
    assert decode_change(HALF, small, 10) is not None
    assert decode_change(HALF, small, 11) is None
    assert decode_change(replace(HALF, acceptance=Acceptance()), ENGINE, 1) is None


def test_the_reach_says_what_ends_it() -> None:
    """Drafts that are accepted pay at any batch here; the cache, or rejection, ends it."""
    assert (reach(HALF, ENGINE).at_once, reach(HALF, ENGINE).limit) == (1024, "none found")
    found = reach(HALF, replace(ENGINE, blocks=40))
    assert (found.at_once, found.limit) == (8, "KV cache")
    rejected = replace(HALF, acceptance=Acceptance(1, 100, 100, 400, 0))
    found = reach(rejected, ENGINE)
    assert (found.at_once, found.limit) == (0, "slower")


def test_a_search_finds_the_setting_with_the_lowest_decode_time(store: Store) -> None:
    """Of all settings none is faster at this batch; one lookup gives what each alone gives."""
    write_repeating_sessions(store, 2)
    calls = list(CapturedCalls(store, Scope()))
    settings = ngram_settings()
    assert len(settings) == len(set(settings))
    found = measure(calls, settings, "session")
    alone = [measure(calls, [one], "session")[0] for one in settings[::7]]
    assert [one.acceptance for one in found[: len(settings)][::7]] == [
        one.acceptance for one in alone
    ]
    best = best_ngram(found, ENGINE, 3)
    assert [one.group for one in best] == ["s0", "s1"]
    changes = [decode_change(one, ENGINE, 3) for one in found if one.group == "s0"]
    least = decode_change(best[0], ENGINE, 3)
    assert least is not None
    assert least.change == min(one.change for one in changes if one is not None)
    assert best_ngram(found, replace(ENGINE, blocks=1), 3) == []

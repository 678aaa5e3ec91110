"""SGLang's scheduler: against a slow re-telling, and by hand."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.slow_sglang import SlowSglang

TIMES = MadeUpTimes()


@st.composite
def traffic(draw: st.DrawFn) -> tuple[list[Request], SglangConfig, int]:
    """Draw requests that share prefixes, and an engine that is too small for all of them."""
    page = draw(st.sampled_from([1, 2, 4]))
    unit = draw(st.sampled_from([None, 1, 3]))
    pages = draw(st.integers(24, 60))
    forced = draw(st.sampled_from([False, False, True]))
    requests = []
    for _ in range(draw(st.integers(2, 14))):
        inputs = draw(st.integers(1, 5 * page))
        outputs = draw(st.integers(1, 14 * page))
        family = draw(st.integers(0, 2))
        digests = tuple((family, at) for at in range(-(-inputs // (unit or page))))
        requests.append(
            Request(
                draw(st.integers(0, 40)) / 64,
                inputs,
                outputs,
                digests[: draw(st.integers(0, len(digests)))],
                unit,
                None if forced else draw(st.sampled_from([None, None, outputs + 8, 10_000])),
                forced=forced,
            )
        )
    config = SglangConfig(
        chunked_prefill_size=draw(st.none() | st.integers(1, 12).map(lambda pages: pages * page)),
        max_prefill_tokens=draw(st.integers(3, 40)),
        max_running_requests=draw(st.integers(1, 8)),
        schedule_conservativeness=draw(st.sampled_from([0.1, 0.1, 0.3, 1.0, 1.3])),
        page_size=page,
        disable_radix_cache=draw(st.sampled_from([False, False, True])),
        disable_overlap_schedule=draw(st.booleans()),
        on_cpu=draw(st.booleans()),
    )
    return requests, config, pages


HELD_UP = [
    *(Request(0.0, 4, 16, ()), Request(0.15625, 1, 12, ())),
    *[Request(0.0, 1, 1, ())] * 3,
    *(Request(0.015625, 6, 16, ()), Request(0.0, 1, 1, ()), Request(0.0, 1, 1, ())),
]
"""after a step that waits for the places of one that ends, the next brings no tokens"""
TIGHT = SglangConfig(
    chunked_prefill_size=None,
    max_prefill_tokens=3,
    max_running_requests=3,
    schedule_conservativeness=0.1,
    page_size=2,
    on_cpu=True,
)


@settings(max_examples=150, deadline=None)
@example((HELD_UP, TIGHT, 24))
@given(traffic())
def test_it_agrees_with_a_stepwise_engine(
    drawn: tuple[list[Request], SglangConfig, int],
) -> None:
    """Jumps change nothing: every time, cached token and retraction is that of single steps."""
    requests, config, pages = drawn
    slow = SlowSglang(config, pages)
    calls = slow.serve(requests, TIMES.step_s)
    found = simulate(requests, TIMES, config, blocks=pages)
    assert [
        (one.first_s, one.last_s, one.cached_tokens, one.preemptions) for one in found.served
    ] == [(one.first, one.last, one.cached, one.retracted) for one in calls]
    assert found.preemptions == slow.retractions


@settings(max_examples=100, deadline=None)
@given(traffic())
def test_calls_sum_to_the_time_of_the_engine(
    drawn: tuple[list[Request], SglangConfig, int],
) -> None:
    """Prefill, floor and marginal of all calls are the time in which steps ran, to 1e-9."""
    requests, config, pages = drawn
    found = simulate(requests, TIMES, config, blocks=pages)
    assert sum(one.busy_s for one in found.served) == pytest.approx(found.busy_s, rel=1e-9)
    assert sum(one.prefill_s for one in found.served) == pytest.approx(found.prefill_s, rel=1e-9)
    for one in found.served:
        assert min(one.prefill_s, one.floor_s, one.marginal_s) >= 0
        assert (one.recompute_s > 0) == (one.preemptions > 0)


def test_a_prompt_is_read_before_others_go_on() -> None:
    """A request that arrives while another decodes has a step of its own, without the decode."""
    config = SglangConfig(disable_overlap_schedule=True)
    requests = [Request(0.0, 1, 3, ()), Request(0.001, 8, 1, ())]
    found = simulate(requests, TIMES, config, blocks=None)
    # a prompt token takes 19 units of 1/1024 s; then 8 prompt tokens alone; then two decodes
    assert found.served[1].first_s == (19 + 16 + 24) / 1024
    assert found.served[0].last_s == (19 + 16 + 24 + (16 + 1 + 2 + 2) + (16 + 1 + 3 + 3)) / 1024


def test_with_overlap_a_request_waits_for_the_planned_step_too() -> None:
    """The step after the running one is planned already: a decode of context 2, 21 units."""
    requests = [Request(0.0, 1, 6, ()), Request(0.001, 8, 1, ())]
    found = simulate(requests, TIMES, SglangConfig(), blocks=None)
    assert found.served[1].first_s == (19 + 21 + 16 + 24) / 1024


def test_on_a_cpu_tokens_come_out_after_the_next_step() -> None:
    """The first token of the prompt is seen when the first decode step has ended; the last at once.

    A newcomer does not wait for a planned step, but its token does for the decode after it.
    """
    config = SglangConfig(on_cpu=True)
    (alone,) = simulate([Request(0.0, 1, 3, ())], TIMES, config, blocks=None).served
    assert alone.first_s == (19 + 21) / 1024
    assert alone.last_s == (19 + 21 + 23) / 1024
    requests = [Request(0.0, 1, 6, ()), Request(0.001, 8, 2, ())]
    found = simulate(requests, TIMES, config, blocks=None)
    both = 16 + 2 + (2 + 9) + 9
    assert found.served[1].first_s == (19 + 16 + 24 + both) / 1024


def test_one_prompt_is_read_in_chunks_and_fills_up_with_the_next() -> None:
    """Chunks of 8 tokens: 8 of the first prompt, then its last 4 with 4 of the second, then 2."""
    config = SglangConfig(chunked_prefill_size=8, disable_overlap_schedule=True)
    requests = [Request(0.0, 12, 1, ()), Request(0.0, 6, 1, ())]
    found = simulate(requests, TIMES, config, blocks=None)
    first = 16 + 24
    second = 16 + (12 + 8) + 12
    third = 16 + (6 + 4)
    assert found.served[0].first_s == (first + second) / 1024
    assert found.served[1].first_s == (first + second + third) / 1024


@pytest.mark.parametrize(("forced", "together"), [(True, False), (False, True)])
def test_all_of_the_output_is_reserved_for_forced_requests(forced: bool, together: bool) -> None:
    """A running request holds or has reserved 30 of 46 tokens, and a new one needs more than 16.

    Where it may end early, only 0.7 of what is left to it is reserved.
    """
    requests = [Request(0.0, 10, 20, (), forced=forced), Request(0.03, 10, 5, (), forced=forced)]
    found = simulate(requests, TIMES, SglangConfig(), blocks=46)
    assert (found.served[1].first_s < found.served[0].last_s) == together


def test_too_few_places_retract_the_request_with_the_least_output() -> None:
    """Little is reserved, so both are admitted; the second loses its cache and restarts later."""
    config = SglangConfig(
        schedule_conservativeness=0.1, disable_radix_cache=True, disable_overlap_schedule=True
    )
    requests = [Request(0.0, 4, 20, ()), Request(0.02, 4, 20, ())]
    found = simulate(requests, TIMES, config, blocks=34)
    assert found.preemptions == 1
    assert [one.preemptions for one in found.served] == [0, 1]
    assert found.served[1].recompute_s > 0
    assert [one.output_tokens for one in found.served] == [20, 20]


def test_a_later_prompt_finds_what_an_earlier_one_has_left() -> None:
    """Token by token: 30 of 40 tokens are the same, whatever blocks the ids stand for."""
    ids = tuple(range(40))
    other = (*range(30), *range(90, 100))
    requests = [Request(0.0, 40, 2, ids), Request(9.0, 40, 2, other)]
    found = simulate(requests, TIMES, SglangConfig(), blocks=None)
    assert found.served[1].cached_tokens == 30
    paged = simulate(
        [Request(one.arrival_s, 40, 2, one.digests, digest_tokens=1) for one in requests],
        TIMES,
        SglangConfig(page_size=16),
        blocks=None,
    )
    assert paged.served[1].cached_tokens == 16
    coarse = simulate(
        [Request(one.arrival_s, 40, 2, one.digests[28:32], digest_tokens=10) for one in requests],
        TIMES,
        SglangConfig(),
        blocks=None,
    )
    assert coarse.served[1].cached_tokens == 20


def test_longer_outputs_add_no_events() -> None:
    """Ten times the output tokens take no more jumps, only more steps."""
    short = simulate([Request(0.0, 10, 100, ())], TIMES, SglangConfig(), blocks=3000)
    long = simulate([Request(0.0, 10, 1000, ())], TIMES, SglangConfig(), blocks=3000)
    assert (short.steps, long.steps) == (100, 1000)
    assert long.jumps == short.jumps


def test_a_request_larger_than_the_cache_is_refused() -> None:
    """Beside a prompt of 10 tokens and 5 more, SGLang keeps a page and a token free."""
    with pytest.raises(UsageError, match=r"request 1 needs 18 KV blocks .* SGLang would refuse it"):
        simulate([Request(0.0, 10, 5, ())], TIMES, SglangConfig(), blocks=17)

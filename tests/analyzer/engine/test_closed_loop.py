"""Closed loops: a session's next call waits for the last one, and few sessions run at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.runs.closed_loop import simulate_sessions
from phasewise_analyzer.engine.runs.routers import ROUTERS, named
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.scheduler import EngineConfig
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.step_times.front import Front
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes

TIMES = MadeUpTimes()
CONFIG = SchedulerConfig(block_size=4)


def test_a_call_waits_for_the_last_one_and_for_the_tool_between() -> None:
    """The second call is sent two seconds after the first has ended."""
    session = [Request(0.0, 8, 3, ()), Request(2.0, 8, 1, ())]
    found = simulate_sessions([session], TIMES, CONFIG, blocks=None, at_once=1)
    first, second = found.served
    assert second.arrival_s == first.last_s + 2
    assert second.ttft_s == pytest.approx((16 + 24) / 1024)


def test_a_session_starts_when_another_has_ended() -> None:
    """With one session at once, the second one starts at the end of the first."""
    sessions = [[Request(0.0, 8, 3, ())], [Request(0.0, 4, 2, ())]]
    alone = simulate_sessions(sessions, TIMES, CONFIG, blocks=None, at_once=1)
    assert alone.served[1].arrival_s == alone.served[0].last_s
    both = simulate_sessions(sessions, TIMES, CONFIG, blocks=None, at_once=2)
    assert both.served[1].arrival_s == 0


def test_time_outside_the_engine_delays_each_call() -> None:
    """A request reaches the engine half a second after it was sent."""
    session = [Request(0.0, 8, 1, ())]
    found = simulate_sessions([session], TIMES, CONFIG, blocks=None, at_once=1, front=Front(0.5))
    assert found.served[0].ttft_s == 0.5 + (16 + 24) / 1024


def test_a_burst_waits_for_the_front() -> None:
    """Three requests at once reach the engine 0.3, 0.5 and 0.7 seconds later, in both loops."""
    front = Front(0.3, 0.2)
    sessions = [[Request(0.0, 8, 1, ())] for _ in range(3)]
    step = (16 + 24) / 1024
    wanted = [0.3 + step, 0.5 + step, 0.7 + step]
    found = simulate_sessions(sessions, TIMES, CONFIG, blocks=None, at_once=3, front=front)
    assert [one.ttft_s for one in found.served] == pytest.approx(wanted)
    opened = simulate([one for (one,) in sessions], TIMES, CONFIG, blocks=None, front=front)
    assert [one.ttft_s for one in opened.served] == pytest.approx(wanted)


def test_a_longer_prompt_takes_the_front_longer() -> None:
    """A tenth of a second per 8 tokens: the second waits for it, too, and nobody overtakes."""
    front = Front(0.3, 0.2, 0.1 / 8)
    sessions = [[Request(0.0, tokens, 1, ())] for tokens in (16, 8)]
    found = simulate_sessions(sessions, TIMES, CONFIG, blocks=None, at_once=2, front=front)
    step = [(16 + 3 * tokens) / 1024 for tokens in (16, 8)]
    assert [one.ttft_s for one in found.served] == pytest.approx(
        [0.3 + 0.2 + step[0], 0.2 + 0.2 + 0.3 + 0.1 + step[1]]
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 200), st.integers(1, 20), st.integers(1, 30)),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 4),
    st.tuples(st.integers(1, 3), st.sampled_from(sorted(ROUTERS))),
    st.sampled_from([CONFIG, SglangConfig(), SglangConfig(on_cpu=True, page_size=4)]),
)
def test_its_calls_sent_at_their_times_take_as_long(
    drawn: list[list[tuple[int, int, int]]],
    at_once: int,
    routed: tuple[int, str],
    config: EngineConfig,
) -> None:
    """An open loop with the arrivals that a closed loop found has the same times.

    With several engines it shows that none of them ran past a call that another one's end caused.
    A call that is sent in the moment in which a late token comes out must not hold it back.
    """
    engines, router = routed
    sessions = [
        [
            Request((wait + config.late_tokens) / 64, inputs, outputs, ())
            for wait, inputs, outputs in session
        ]
        for session in drawn
    ]
    closed = simulate_sessions(
        sessions,
        TIMES,
        config,
        blocks=60,
        at_once=at_once,
        engines=engines,
        router=named(router),
    )
    calls = [call for session in sessions for call in session]
    opened = simulate(
        [
            Request(served.arrival_s, call.input_tokens, call.output_tokens, ())
            for call, served in zip(calls, closed.served, strict=True)
        ],
        TIMES,
        config,
        blocks=60,
        engines=engines,
        router=named(router),
    )
    assert sorted(one.last_s for one in opened.served) == pytest.approx(
        sorted(one.last_s for one in closed.served)
    )


def test_a_call_larger_than_the_cache_is_refused() -> None:
    """Ten tokens and two more need three blocks of four; the engine has two."""
    with pytest.raises(UsageError, match="request 1 needs 3 KV blocks"):
        simulate_sessions([[Request(0.0, 10, 2, ())]], TIMES, CONFIG, blocks=2, at_once=1)

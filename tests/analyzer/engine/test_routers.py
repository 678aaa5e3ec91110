"""Routers in front of several engines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.runs import routers
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes

TIMES = MadeUpTimes()
CONFIG = SchedulerConfig(block_size=4)


def test_round_robin_deals_in_the_order_of_arrival() -> None:
    """Calls 1 and 3 share an engine, although call 1 keeps it busy; call 2 has its own."""
    requests = [Request(0.0, 4, 400, ()), Request(0.001, 4, 1, ()), Request(3.0, 400, 1, ())]
    dealt = simulate(requests, TIMES, CONFIG, blocks=None, engines=2)
    alone = simulate(requests[::2], TIMES, CONFIG, blocks=None)
    assert dealt.served[2].first_s == alone.served[1].first_s


def test_the_least_loaded_engine_gets_the_call() -> None:
    """Call 2 has ended when call 3 comes, so call 3 finds its engine empty."""
    requests = [Request(0.0, 4, 400, ()), Request(0.001, 4, 1, ()), Request(3.0, 400, 1, ())]
    found = simulate(requests, TIMES, CONFIG, blocks=None, engines=2, router=routers.LeastLoaded())
    assert found.served[2].ttft_s == pytest.approx((16 + 3 * 400) / 1024, abs=1e-12)


def test_a_cached_prefix_attracts_a_call() -> None:
    """The third call continues the first one, whose engine has its 40 tokens cached."""
    first, other = (("a", at) for at in range(10)), (("b", at) for at in range(10))
    one, two = tuple(first), tuple(other)
    requests = [
        Request(0.0, 40, 1, one),
        Request(5.0, 40, 1, two),
        Request(10.0, 44, 1, (*two, ("c", 0))),
        Request(15.0, 44, 1, (*one, ("c", 0))),
    ]
    aware = simulate(requests, TIMES, CONFIG, blocks=None, engines=2, router=routers.PrefixAware())
    assert [one.cached_tokens for one in aware.served] == [0, 0, 40, 40]
    dealt = simulate(requests, TIMES, CONFIG, blocks=None, engines=2)
    assert [one.cached_tokens for one in dealt.served] == [0, 0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(1, 20), st.integers(1, 30)),
        min_size=1,
        max_size=10,
    ),
    st.sampled_from(sorted(routers.ROUTERS)),
    st.integers(1, 3),
)
def test_every_router_serves_every_request(
    drawn: list[tuple[int, int, int]], name: str, engines: int
) -> None:
    """Each request ends after it came, with all its tokens, whatever the router."""
    requests = [Request(at / 64, inputs, outputs, ()) for at, inputs, outputs in drawn]
    found = simulate(
        requests, TIMES, CONFIG, blocks=100, engines=engines, router=routers.named(name)
    )
    for request, served in zip(requests, found.served, strict=True):
        assert served.output_tokens == request.output_tokens
        assert served.last_s >= served.first_s > request.arrival_s


def test_an_unknown_router_is_refused_by_name() -> None:
    """The message lists those that exist."""
    with pytest.raises(UsageError, match="unknown router `random`; known: round-robin"):
        routers.named("random")

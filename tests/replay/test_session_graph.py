"""Which calls wait for which, and that no call is sent before what it waits for."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.driving.driver import drive_virtually
from phasewise_replay.driving.due import Due
from phasewise_replay.driving.real_time_driver import drive
from phasewise_replay.engine import Answer, Received, Request
from phasewise_replay.engines.fake import FakeChannel, usual_answer
from phasewise_replay.sessions import session_graph
from phasewise_replay.sessions.session_graph import Place, TimedCall


def call(name: str, start: int, end: int, parent: str | None = None) -> TimedCall:
    """Make a call of the agent that its name begins with: `p1` is p's."""
    return TimedCall(name, name[0], parent, start, end)


def test_sub_agents_fork_run_side_by_side_and_join() -> None:
    """Two sub-agents start after the parent's first call; its next one waits for both."""
    calls = [
        call("p1", 0, 10),
        call("a1", 12, 20, "p"),
        call("b1", 13, 40, "p"),
        call("a2", 25, 30, "p"),
        call("p2", 45, 50),
    ]
    assert session_graph.places(calls) == [
        Place((), 0),
        Place(("p1",), 2),
        Place(("p1",), 3),
        Place(("a1",), 5),
        Place(("p1", "a2", "b1"), 5),
    ]


def test_a_sub_agent_in_the_background_is_not_waited_for() -> None:
    """It ends after the parent's next call began (spawn); the call after that joins it."""
    calls = [call("p1", 0, 10), call("a1", 12, 30, "p"), call("p2", 20, 25), call("p3", 35, 40)]
    assert [place.after for place in session_graph.places(calls)] == [
        (),
        ("p1",),
        ("p1",),
        ("p2", "a1"),
    ]


def test_one_agent_s_calls_at_once_wait_for_the_one_before_both() -> None:
    """Parallel calls of one agent have no order between them."""
    calls = [call("p1", 0, 10), call("p2", 11, 30), call("p3", 12, 20), call("p4", 31, 40)]
    after = [place.after for place in session_graph.places(calls)]
    assert after == [(), ("p1",), ("p1",), ("p2",)]


def test_a_prompt_that_continues_another_waits_for_it_whatever_the_clocks_say() -> None:
    """Clocks in whole seconds let both overlap; contradictory ones give the recorded order."""
    overlapping = [
        call("p1", 0, 15),
        TimedCall("p2", "p", None, 10, 20, continues="p1"),
    ]
    assert session_graph.places(overlapping)[1] == Place(("p1",), 0)
    backwards = [call("p1", 10, 15), TimedCall("p2", "p", None, 0, 5, continues="p1")]
    assert session_graph.places(backwards)[1] == Place(("p1",), 0)


def test_calls_without_times_are_a_chain() -> None:
    """Waits are those that are known."""
    calls = [call("p1", 0, 10), call("a1", 12, 20, "p"), TimedCall("p2", "p", None, None, None)]
    assert session_graph.places(calls) == [Place((), 0), Place(("p1",), 2), Place(("a1",), 0)]


spans = st.tuples(st.integers(0, 30), st.integers(0, 10), st.sampled_from("pabc"))


@given(st.lists(spans, max_size=25))
def test_every_graph_has_an_order_and_waits_only_for_what_had_ended(
    found: list[tuple[int, int, str]],
) -> None:
    """Each call comes after what it waits for when sorted by start, and no wait is negative."""
    calls = [
        TimedCall(f"{agent}{place}", agent, None if agent == "p" else "p", start, start + length)
        for place, (start, length, agent) in enumerate(found)
    ]
    by_id = {one.call_id: one for one in calls}
    order = sorted(calls, key=lambda one: one.started_ns or 0)
    seen: set[str] = set()
    places = dict(zip(by_id, session_graph.places(calls), strict=True))
    for one in order:
        place = places[one.call_id]
        assert seen >= set(place.after)
        assert place.wait_ns >= 0
        for before in place.after:
            assert (by_id[before].ended_ns or 0) <= (one.started_ns or 0)
        seen.add(one.call_id)


def request(name: str) -> Request:
    """Make a request that only has a name."""
    return Request(name, "s", name, 0, 1, prompt=name)


FORKED = (
    Due(request("p1"), 0, ()),
    Due(request("a1"), 0, (0,)),
    Due(request("b1"), 0, (0,)),
    Due(request("p2"), 0, (1, 2)),
)


def drive_all(sessions: Sequence[Sequence[Due]], channel: FakeChannel) -> None:
    """Drive sessions in real time, one at a time."""
    drive(
        sessions,
        channel,
        sent=lambda request: None,
        answered=lambda request, answer, lag_ns: None,
    )


def in_order(log: Sequence[tuple[str, str]], session: Sequence[Due]) -> bool:
    """Return whether no call began before all that it waits for had ended."""
    for step in session:
        begin = log.index((step.request.call_id, "begin"))
        for before in step.after:
            if log.index((session[before].request.call_id, "end")) > begin:
                return False
    return True


def test_sub_agents_are_in_flight_together_and_nothing_is_sent_too_early() -> None:
    """Both sub-agents meet at a barrier while they are served, which a chain would never pass."""
    log: list[tuple[str, str]] = []

    def serve(asked: Request) -> Answer:
        log.append((asked.call_id, "end"))
        return usual_answer(asked)

    class Meeting(FakeChannel):
        async def open(self, connections: int) -> None:
            self.both = asyncio.Barrier(2)

        async def send(self, request: Request) -> Received:
            log.append((request.call_id, "begin"))
            if request.call_id in ("a1", "b1"):
                await asyncio.wait_for(self.both.wait(), 10)
            return await super().send(request)

    drive_all([FORKED], Meeting(serve))
    assert len(log) == 8
    assert in_order(log, FORKED)


class VirtualEngine:
    """Answers each request after the usual time, however many are in flight."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.log: list[tuple[str, str]] = []
        self._in_flight: list[tuple[int, int, Request, Answer]] = []

    def submit(self, asked: Request, at_ns: int) -> None:
        """Note when it will be answered."""
        assert at_ns >= self.now_ns
        self.now_ns = at_ns
        self.log.append((asked.call_id, "begin"))
        answer = replace(usual_answer(asked), sent_ns=at_ns)
        entry = (at_ns + answer.duration_ns, len(self.log), asked, answer)
        self._in_flight = sorted([*self._in_flight, entry])

    def run(self, until_ns: int | None = None) -> list[tuple[Request, Answer]]:
        """Return the next one that is answered by then."""
        if not self._in_flight or (until_ns is not None and self._in_flight[0][0] > until_ns):
            return []
        self.now_ns, _, asked, answer = self._in_flight.pop(0)
        self.log.append((asked.call_id, "end"))
        return [(asked, answer)]


@given(st.lists(st.sets(st.integers(0, 8)), min_size=1, max_size=9))
def test_any_graph_is_served_whole_and_in_order(shape: list[set[int]]) -> None:
    """In real time and in virtual time, whatever waits for what."""
    session = tuple(
        Due(request(f"c{place}"), 0, tuple(one for one in sorted(before) if one < place))
        for place, before in enumerate(shape)
    )
    log: list[tuple[str, str]] = []

    def serve(asked: Request) -> Answer:
        log.append((asked.call_id, "begin"))
        log.append((asked.call_id, "end"))
        return usual_answer(asked)

    drive_all([session], FakeChannel(serve))
    engine = VirtualEngine()
    drive_virtually([session], engine, lambda request, answer: None)
    for seen in (log, engine.log):
        assert len(seen) == 2 * len(session)
        assert in_order(seen, session)


def test_an_error_in_a_sub_agent_ends_the_run() -> None:
    """What `serve` raises comes out, and nothing that waits for it is sent."""
    seen: list[str] = []

    def serve(asked: Request) -> Answer:
        seen.append(asked.call_id)
        if asked.call_id == "b1":
            raise RuntimeError("lost")
        return usual_answer(asked)

    with pytest.raises(RuntimeError, match="lost"):
        drive_all([FORKED], FakeChannel(serve))
    assert "p2" not in seen


def test_sub_agents_are_in_flight_together_in_virtual_time() -> None:
    """Both are sent when their parent is answered, and the join when the later one is."""
    sent: dict[str, int] = {}

    def answered(asked: Request, answer: Answer) -> None:
        sent[asked.call_id] = answer.sent_ns

    drive_virtually([FORKED], VirtualEngine(), answered)
    step_ns = usual_answer(request("p1")).duration_ns
    assert sent == {"p1": 0, "a1": step_ns, "b1": step_ns, "p2": 2 * step_ns}


def test_sessions_at_once_in_virtual_time() -> None:
    """Two at a time: the third begins when one of the first two has ended."""
    sessions = [(Due(request(f"c{number}"), number, ()),) for number in range(3)]
    sent: dict[str, int] = {}

    def answered(asked: Request, answer: Answer) -> None:
        sent[asked.call_id] = answer.sent_ns

    drive_virtually(sessions, VirtualEngine(), answered, concurrency=2)
    step_ns = usual_answer(request("c0")).duration_ns
    assert sent == {"c0": 0, "c1": 1, "c2": step_ns + 2}

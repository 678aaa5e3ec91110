"""Sessions are split whole, evenly, and each shard's blocks have numbers of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_replay.cluster.needs import gpus
from phasewise_replay.cluster.shards import most_shards, split
from phasewise_replay.plans.arms import SglangArm, UrlArm, VllmArm
from phasewise_replay.plans.plan import Plan, control_half
from phasewise_replay.sessions.recorded import Recorded, RecordedSession, RecordedStep
from phasewise_store.errors import UsageError

ARMS = (VllmArm("a", "m"), VllmArm("b", "m", flags={"seed": 1}))


def recorded(sizes: list[int]) -> Recorded:
    """Make sessions of so many calls."""
    return Recorded(
        tuple(
            RecordedSession(
                f"s{place}",
                tuple(RecordedStep(f"s{place}.{step}", step, (), 1, 0) for step in range(size)),
            )
            for place, size in enumerate(sizes)
        ),
        0,
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 30))
def test_every_session_is_in_one_shard(sizes: list[int], shards: int) -> None:
    """Whole and in order; sessions per shard differ by at most one."""
    shards = min(shards, len(sizes))
    sessions = recorded(sizes)
    parts = split(sessions, Plan("p", ARMS, shards=shards), "run")
    names = [[one.session_id for one in part.recorded.sessions] for part in parts]
    assert sorted(name for own in names for name in own) == sorted(
        one.session_id for one in sessions.sessions
    )
    for own in names:
        assert own == sorted(own, key=lambda name: int(name[1:]))
    assert max(map(len, names)) - min(map(len, names)) <= 1
    assert sum(part.recorded.calls for part in parts) == sum(sizes)


def test_large_sessions_are_spread() -> None:
    """Two of 90 calls and four of 10: one large one in each half."""
    parts = split(recorded([90, 90, 10, 10, 10, 10]), Plan("p", ARMS, shards=2), "run")
    assert [part.recorded.calls for part in parts] == [110, 110]


def test_blocks_of_a_shard_have_numbers_of_their_own() -> None:
    """Those of the plan, moved by a multiple of four: the control's halves stay the same."""
    plan = Plan("p", ARMS, shards=3)
    parts = split(recorded([1] * 6), plan, "run")
    assert [(visit.arm, visit.blocks) for visit in parts[2].visits] == [
        ("a", (8, 9)),
        ("b", (8, 9)),
        ("a", (10, 11)),
    ]
    assert [control_half(block) for block in (8, 9, 10, 11)] == [0, 1, 1, 0]
    keys = {visit.key for part in parts for visit in part.visits}
    assert len(keys) == 9


def test_a_shard_has_as_many_sessions_as_are_in_flight() -> None:
    """Seven sessions, three at a time: two shards."""
    assert most_shards(recorded([1] * 7), Plan("p", ARMS, concurrency=3)) == 2
    assert most_shards(recorded([1]), Plan("p", ARMS, concurrency=3)) == 1


@pytest.mark.parametrize(
    ("arm", "count"),
    [
        (VllmArm("a", "m"), 1),
        (VllmArm("a", "m", flags={"tensor-parallel-size": 4, "pipeline-parallel-size": 2}), 8),
        (VllmArm("a", "m", flags={"data-parallel-size": "2"}), 2),
        (SglangArm("a", "m", flags={"tp-size": 4, "dp-size": 2}), 8),
        (SglangArm("a", "m", flags={"tp-size": 4, "dp-size": 4, "enable-dp-attention": True}), 4),
    ],
)
def test_an_arm_holds_the_gpus_of_its_parallel_sizes(arm: VllmArm | SglangArm, count: int) -> None:
    """As flags or presets set them."""
    assert gpus(arm) == count


def test_a_server_at_an_address_is_not_shared() -> None:
    """All shards would send to it at once."""
    with pytest.raises(UsageError, match="run it without --cluster"):
        gpus(UrlArm("a", "http://localhost:1"))

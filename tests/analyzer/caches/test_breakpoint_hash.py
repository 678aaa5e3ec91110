"""Breakpoints: the documented examples, and what was measured of providers that use them."""

from dataclasses import replace

import pytest
from phasewise_analyzer.caches import book, families
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Marker

from tests.analyzer.caches.prompts_for_tests import Part, Prompts, parts

BOOK = book.read()
CLAUDE = replace(BOOK.named("anthropic/opus-5"), min_tokens=0)
GPT = BOOK.named("openai/gpt-5.6")
BLOCKS = parts(*[10] * 60)
SYSTEM, MESSAGES = 1, 2


@pytest.mark.parametrize(
    ("breakpoint_block", "read", "reason"),
    [(35, 0, "lookback"), (34, 150, "nothing missed"), (16, 150, "nothing missed")],
)
def test_twenty_positions_are_looked_at(breakpoint_block: int, read: int, reason: str) -> None:
    """With an entry at block 15, a breakpoint at 35 looks at 35 to 16 and misses; 34 finds it."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    cache.serve(prompts.asked(BLOCKS[:15], marked=[14]))
    call = prompts.asked(BLOCKS[:breakpoint_block], 10, marked=[breakpoint_block - 1])
    served = cache.serve(call)
    assert (served.read, served.reason) == (read, reason)
    assert served.written == {"5m": breakpoint_block * 10 - read}


def test_an_earlier_breakpoint_looks_back_too() -> None:
    """The search goes on from the next breakpoint to the front."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    cache.serve(prompts.asked(BLOCKS[:15], marked=[14]))
    served = cache.serve(prompts.asked(BLOCKS[:50], 10, marked=[29, 49]))
    assert served.read == 150


def test_only_segments_are_positions() -> None:
    """Places where other prompts part inside a segment do not use up the twenty positions."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    front = BLOCKS[:15]
    behind = [Part(place, 5, whole=place % 2 == 1) for place in range(38)]
    cache.serve(prompts.asked(front, marked=[14]))
    served = cache.serve(prompts.asked(front + behind, 10, marked=[14 + 38]))
    assert served.read == 150


@pytest.mark.parametrize(("at_s", "reason"), [(300, "nothing missed"), (301, "lifetime")])
def test_the_lifetime_runs_from_the_request_s_start(at_s: int, reason: str) -> None:
    """An answer that takes 200 s uses 200 of the 300 s up."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    cache.serve(prompts.asked(BLOCKS[:5], marked=[4], answers_s=200))
    served = cache.serve(prompts.asked(BLOCKS[:5], at_s, marked=[4]))
    assert served.reason == reason
    assert served.read == (50 if reason == "nothing missed" else 0)


def test_a_lifetime_can_run_from_the_answer_s_start() -> None:
    """Counted so, an answer that takes 200 s uses none of the 300 s up."""
    prompts = Prompts()
    for family, policy in (("breakpoints", CLAUDE), ("blocks", BOOK.named("openai/gpt-5"))):
        cache = families.make(replace(policy, ttl_from="answer_start"))
        reads = [
            cache.serve(prompts.asked(parts(1280, name=family), at_s, answers_s=200)).read
            for at_s in (0, 500, 1001)
        ]
        assert reads == [0, 1280, 0]


def test_a_read_renews_the_lifetime() -> None:
    """Read every 250 s, an entry of five minutes lives on."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    reads = [
        cache.serve(prompts.asked(BLOCKS[:5], at_s, marked=[4])).read
        for at_s in (0, 250, 500, 750, 1051)
    ]
    assert reads == [0, 50, 50, 50, 0]


def test_a_read_renews_an_entry_that_no_breakpoint_stands_on() -> None:
    """Found by looking back at 250 s, the entry is still there at 500 s for another tail."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    front = BLOCKS[:5]
    cache.serve(prompts.asked(front, marked=[4]))
    reads = [
        cache.serve(prompts.asked([*front, Part(tail, 7)], at_s, marked=[5])).read
        for at_s, tail in ((250, "a"), (500, "b"))
    ]
    assert reads == [50, 50]


def test_a_breakpoint_renews_the_entry_it_stands_on_though_a_longer_one_is_read() -> None:
    """The system prompt of a running conversation is still there for a new one (an assumption)."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    talk, other = BLOCKS[:5], [*BLOCKS[:2], Part("other", 7)]
    for at_s in (0, 250):
        cache.serve(prompts.asked(talk, at_s, marked=[1, 4]))
    assert cache.serve(prompts.asked(other, 500, marked=[1, 2])).read == 20


def test_without_refresh_an_entry_ends_where_it_began() -> None:
    """A policy whose reads do not renew drops what was written 300 s ago."""
    prompts, cache = Prompts(), families.make(replace(CLAUDE, refresh_on_read=False))
    reads = [
        cache.serve(prompts.asked(BLOCKS[:5], at_s, marked=[4])).read for at_s in (0, 250, 350)
    ]
    assert reads == [0, 50, 0]


def test_what_is_being_written_cannot_be_read() -> None:
    """Calls that run side by side all pay; the first after the answer has begun reads."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    served = [
        cache.serve(prompts.asked(BLOCKS[:5], at_s, answers_s=10, marked=[4]))
        for at_s in (0, 1, 9, 10)
    ]
    assert [one.read for one in served] == [0, 0, 0, 50]
    assert [one.reason for one in served[1:]] == ["in flight", "in flight", "nothing missed"]
    assert [dict(one.written) for one in served] == [{"5m": 50}] * 3 + [{}]


@pytest.mark.parametrize("answers_s", [(5, 50), (50, 4)])
def test_the_quicker_of_two_answers_opens_the_entry(answers_s: tuple[int, int]) -> None:
    """Of two calls side by side, a third reads what the first to answer has written."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    for at_s, takes_s in enumerate(answers_s):
        cache.serve(prompts.asked(BLOCKS[:5], at_s, answers_s=takes_s, marked=[4]))
    assert cache.serve(prompts.asked(BLOCKS[:5], 7, marked=[4])).read == 50


def test_mixed_lifetimes_are_charged_each_for_its_stretch() -> None:
    """Read to A, an hour from A to its last breakpoint B, five minutes from B to C."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    cache.serve(prompts.asked(BLOCKS[:2], marked=[Marker(1, "1h")]))
    hours = [Marker(1, "1h"), Marker(4, "1h"), Marker(8, "5m")]
    served = cache.serve(prompts.asked(BLOCKS[:10], 10, marked=hours))
    assert (served.read, dict(served.written)) == (20, {"1h": 30, "5m": 40})
    assert served.uncached(100) == 10
    later = cache.serve(prompts.asked(BLOCKS[:10], 1000, marked=hours))
    assert (later.read, dict(later.written)) == (50, {"5m": 40})
    assert later.reason == "lifetime"


def test_a_breakpoint_of_an_hour_in_front_of_the_hit_is_not_charged() -> None:
    """Where nothing of an hour lies behind A, B is A."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    marked = [Marker(1, "1h"), Marker(4, "5m")]
    cache.serve(prompts.asked(BLOCKS[:5], marked=marked))
    longer = [Marker(1, "1h"), Marker(4, "5m"), Marker(6, "5m")]
    served = cache.serve(prompts.asked(BLOCKS[:7], 10, marked=longer))
    assert (served.read, dict(served.written)) == (50, {"5m": 20})


def test_a_prefix_below_the_minimum_is_not_kept() -> None:
    """511 tokens are neither written nor read where the minimum is 512, without an error."""
    policy = BOOK.named("anthropic/opus-5")
    for size, written, read in ((511, {}, 0), (512, {"5m": 512}, 512)):
        prompts, cache = Prompts(), families.make(policy)
        first = cache.serve(prompts.asked(parts(size), marked=[0]))
        second = cache.serve(prompts.asked(parts(size), 10, marked=[0]))
        assert (dict(first.written), second.read) == (written, read)
        assert second.reason == ("nothing missed" if read else "minimum")


def test_only_the_last_breakpoints_hold() -> None:
    """Of five breakpoints the first is one too many: nothing is kept there."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    cache.serve(prompts.asked(BLOCKS[:50], marked=[1, 20, 30, 40, 49]))
    assert cache.serve(prompts.asked(BLOCKS[:2], 10, marked=[1])).reason == "no marker"
    assert cache.serve(prompts.asked(BLOCKS[:21], 20, marked=[20])).read == 210


def test_without_a_breakpoint_nothing_is_kept() -> None:
    """Where the trace says that there is no marker, a repeated prompt is paid again."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    cache.serve(prompts.asked(BLOCKS[:5], marked=[]))
    served = cache.serve(prompts.asked(BLOCKS[:5], 10, marked=[]))
    assert (served.read, dict(served.written), served.reason) == (0, {}, "no marker")


def test_a_part_of_a_segment_is_granularity_and_no_marker_could_help() -> None:
    """Prompts that part inside their only segment share what no breakpoint can keep."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    front = Part("same", 600, whole=False)
    cache.serve(prompts.asked([front, Part("a", 9)], marked=[1]))
    served = cache.serve(prompts.asked([front, Part("b", 9)], 10, marked=[1]))
    assert (served.read, served.reason) == (0, "granularity")


def test_unrecorded_markers_are_assumed_behind_the_system_prompt_and_at_the_end() -> None:
    """Two conversations share their system prompt, and each turn reads the turn before."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    system = [Part("tools", 100, 0), Part("system", 50, SYSTEM)]
    one, other = [Part("q", 10)], [Part("r", 20)]
    answer = [Part("a", 5), Part("next", 7)]
    served = [
        cache.serve(prompts.asked(system + turn, at_s))
        for at_s, turn in ((0, one), (5, other), (9, one + answer))
    ]
    assert [one.read for one in served] == [0, 150, 160]
    assert [dict(one.written) for one in served] == [{"5m": 160}, {"5m": 20}, {"5m": 12}]


@pytest.mark.parametrize(
    ("settings", "read"),
    [
        ((None, None, "auto"), 70),
        ((None, None, "none"), 60),
        ((None, "search", "auto"), 40),
        (("model", None, "auto"), 0),
    ],
)
def test_a_setting_spoils_its_tier_and_those_behind(
    settings: tuple[str | None, str | None, str | None], read: int
) -> None:
    """A tool choice leaves tools and system cached, a toggle of web search only the tools."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    prompt = [Part("tools", 40, 0), Part("system", 20, SYSTEM), Part("question", 10)]
    marked = [0, 1, 2]
    cache.serve(prompts.asked(prompt, marked=marked, settings=(None, None, "auto")))
    served = cache.serve(prompts.asked(prompt, 10, marked=marked, settings=settings))
    assert served.read == read
    assert served.reason == ("nothing missed" if read == 70 else "settings")


def test_a_fixed_breakpoint_is_read_token_for_token() -> None:
    """Measured with claude-haiku-4-5: 7,822 written once, then read on each of the calls."""
    prompts, cache = Prompts(), families.make(BOOK.named("anthropic/haiku-4.5"))
    front = [Part("tools", 6000, 0), Part("system", 1822, SYSTEM)]
    history: list[Part] = []
    served = []
    uncached = []
    for turn, size in enumerate((369, 400, 500, 574)):
        history.append(Part(turn, size))
        call = prompts.asked(front + history, turn * 30, marked=[1])
        served.append(cache.serve(call))
        uncached.append(served[-1].uncached(call.tokens))
    assert [dict(one.written) for one in served] == [{"5m": 7822}, {}, {}, {}]
    assert [one.read for one in served] == [0, 7822, 7822, 7822]
    assert uncached == [369, 769, 1269, 1843]


def volatile_tail(policy: Policy, marked: list[int] | None) -> list[tuple[int, int, int]]:
    """Send one prefix with a last message that always differs; give read, written, uncached."""
    prompts, cache = Prompts(), families.make(policy)
    found = []
    for turn in range(4):
        prompt = [Part("instructions", 4500, SYSTEM), Part(turn, 18 + turn)]
        call = prompts.asked(prompt, turn * 30, marked=marked, more_tokens=3)
        served = cache.serve(call)
        found.append((served.read, sum(served.written.values()), served.uncached(call.tokens)))
    return found


def test_an_implicit_breakpoint_on_a_volatile_tail_is_written_and_never_read() -> None:
    """Measured with gpt-5.6: writes of 4,518 to 4,521 tokens, 3 of input, 0 read at every call."""
    assert volatile_tail(GPT, None) == [(0, 4518 + turn, 3) for turn in range(4)]


def test_an_explicit_marker_repairs_the_volatile_tail() -> None:
    """With a marker behind the shared prefix, all of it is read from the second call on."""
    assert volatile_tail(GPT, [0]) == [
        (0, 4518, 3),
        *((4500, 18 + turn, 3) for turn in range(1, 4)),
    ]


def test_explicit_mode_without_a_marker_caches_nothing() -> None:
    """Where the caller wants no breakpoint of the policy and sets none, nothing is kept."""
    prompts, cache = Prompts(), families.make(GPT)
    for at_s in (0, 10):
        served = cache.serve(prompts.asked(parts(2000), at_s, marked=[], implicit=False))
        assert (served.read, dict(served.written)) == (0, {})


def test_a_conversation_reads_its_turn_before_however_many_segments_it_grew() -> None:
    """GPT-5.6 has no look back in segments: 50 new ones do not hide the last breakpoint."""
    prompts, cache = Prompts(), families.make(GPT)
    talk = parts(*[200] * 60)
    cache.serve(prompts.asked(talk[:10]))
    served = cache.serve(prompts.asked(talk, 60))
    assert (served.read, dict(served.written)) == (2000, {"30m": 10_000})


def test_only_the_latest_eighty_breakpoints_are_looked_at() -> None:
    """An entry with 80 dropped ones behind it is not found; with 79 it is."""
    for dropped, read in ((79, 2000), (80, 0)):
        policy = replace(GPT, lifetimes_s={"30m": 1800, "long": 10**6})
        prompts, cache = Prompts(), families.make(policy)
        talk = parts(2000, *[10] * 100)
        cache.serve(prompts.asked(talk[:1], marked=[Marker(0, "long")], implicit=False))
        for turn in range(1, dropped + 1):
            cache.serve(prompts.asked(talk[: turn + 1], turn, marked=[turn], implicit=False))
        served = cache.serve(prompts.asked(talk[: dropped + 1], 50_000))
        assert served.read == read


def test_the_policy_s_own_breakpoint_leaves_room_for_three_others() -> None:
    """One implicit and the latest three explicit ones are written."""
    prompts, cache = Prompts(), families.make(GPT)
    talk = parts(*[2000] * 6)
    cache.serve(prompts.asked(talk, marked=[0, 1, 2, 3]))
    reads = [
        cache.serve(prompts.asked(talk[: end + 1], 9, marked=[end], implicit=False)).read
        for end in (0, 1, 2, 3)
    ]
    assert reads == [0, 4000, 6000, 8000]


def test_a_routing_key_splits_the_cache_only_where_the_policy_says_so() -> None:
    """Another `prompt_cache_key` reads nothing at OpenAI; at Anthropic there is no such key."""
    for policy, read in ((GPT, 0), (CLAUDE, 2000)):
        prompts, cache = Prompts(), families.make(policy)
        cache.serve(prompts.asked(parts(2000), sharding="a"))
        served = cache.serve(prompts.asked(parts(2000), 10, sharding="b"))
        assert served.read == read
        assert served.reason == ("nothing missed" if read else "settings")


def test_spaces_share_nothing() -> None:
    """What one account has sent was not sent before in another."""
    prompts, cache = Prompts(), families.make(CLAUDE)
    cache.serve(prompts.asked(BLOCKS[:5], marked=[4], space="one"))
    served = cache.serve(prompts.asked(BLOCKS[:5], 10, marked=[4], space="other"))
    assert (served.read, served.reason) == (0, "nothing missed")

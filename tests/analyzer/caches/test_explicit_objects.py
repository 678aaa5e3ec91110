"""Objects that a caller stores: made once, read while they live, paid for by the hour."""

from phasewise_analyzer.caches import book, families
from phasewise_analyzer.caches.prompt_cache import Marker

from tests.analyzer.caches.prompts_for_tests import Part, Prompts

GEMINI = book.read().named("google/explicit-flash")
SYSTEM = Part("system", 3000, 1)


def test_an_object_is_made_once_and_read_while_it_lives() -> None:
    """Written by the first call, read for an hour, and reading does not renew it."""
    prompts, cache = Prompts(), families.make(GEMINI)
    served = [
        cache.serve(prompts.asked([SYSTEM, Part(turn, 10)], at_s))
        for turn, at_s in enumerate((0, 1800, 3600, 3700))
    ]
    assert [one.read for one in served] == [0, 3000, 3000, 0]
    assert [dict(one.written) for one in served] == [{"1h": 3000}, {}, {}, {"1h": 3000}]
    assert [one.stored_token_hours for one in served] == [3000, 0, 0, 3000]
    assert served[-1].reason == "lifetime"


def test_the_last_marker_ends_the_object() -> None:
    """Where the trace says what was stored, that is read, and no more."""
    prompts, cache = Prompts(), families.make(GEMINI)
    talk = [SYSTEM, Part("document", 9000), Part("question", 10)]
    cache.serve(prompts.asked(talk, marked=[Marker(1)]))
    served = cache.serve(prompts.asked(talk, 10, marked=[Marker(1)]))
    assert (served.read, served.reason) == (12_000, "no marker")


def test_short_prefixes_and_prompts_without_an_object_are_paid_in_full() -> None:
    """Below the minimum, or with nothing to store, a repeated prompt reads nothing."""
    for prompt, reason in (
        ([Part("system", 900, 1), Part("q", 5)], "minimum"),
        ([Part("question", 5000)], "no marker"),
    ):
        prompts, cache = Prompts(), families.make(GEMINI)
        first = cache.serve(prompts.asked(prompt))
        second = cache.serve(prompts.asked(prompt, 10))
        assert (dict(first.written), second.read, second.reason) == ({}, 0, reason)


def test_an_object_of_other_settings_is_another_object() -> None:
    """What another model stored cannot be read."""
    prompts, cache = Prompts(), families.make(GEMINI)
    cache.serve(prompts.asked([SYSTEM], settings=("flash", None, None)))
    served = cache.serve(prompts.asked([SYSTEM], 10, settings=("pro", None, None)))
    assert (served.read, served.reason) == (0, "settings")

"""Recorded calls as caches see them: breakpoints, settings, answers, positions of hashed blocks."""

import json

from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.predictions import predict
from phasewise_analyzer.caches.prompt_cache import Marker, Served
from phasewise_analyzer.caches.requests import Requests
from phasewise_store.facts import Segment
from phasewise_store.segments import text_segment
from phasewise_store.store import Store

from tests.analyzer.facts_for_tests import blocks, write_calls

WORDS = "All of this is here to fill a prompt up to where caches begin to care. " * 90
CLAUDE = "claude-sonnet-4-5"


def said(role: str, text: str) -> Segment:
    """Make a message."""
    kind = "system" if role == "system" else "message"
    written = json.dumps({"role": role, "content": text})
    return text_segment("system" if kind == "system" else "message", written, role)


def served(store: Store) -> list[Served | None]:
    """Judge all calls by the book."""
    return [one.served for one in predict(Requests(store), book.read())]


def test_breakpoints_are_those_of_the_request(store: Store) -> None:
    """A verbatim request without any caches nothing; with one, up to there."""
    prompt = (said("system", WORDS), said("user", "hi"))
    for session, request in (("s", {}), ("t", {"cache_markers": [[0, "1h"]]})):
        write_calls(
            store,
            [prompt, prompt],
            session=session,
            provider="anthropic",
            model=f"{CLAUDE}-{session}",
            fidelity="verbatim",
            request=request,
        )
    asked = [one.asked for one in Requests(store)]
    assert [one.markers for one in asked] == [(), (), *[(Marker(0, "1h"),)] * 2]
    first, second = asked[2:]
    found = served(store)
    assert found[1] == Served(0, reason="no marker")
    assert found[2] is not None
    assert found[2].written == {"1h": first.ends[0]}
    assert found[3] is not None
    assert found[3].read == second.ends[0]


def test_a_setting_in_the_key_keeps_prefixes_apart(store: Store) -> None:
    """Claude's effort is part of the key of messages; the temperature of none."""
    prompt = (said("system", WORDS), said("user", WORDS))
    settings = [
        {"temperature": 0.1},
        {"temperature": 0.9, "output_config": {"effort": "high"}},
        {"output_config": {"effort": "high"}},
    ]
    for step, request in enumerate(settings):
        write_calls(
            store,
            [prompt],
            session=f"s{step}",
            provider="anthropic",
            model=CLAUDE,
            request=request,
        )
    _, changed, same = served(store)
    assert changed is not None
    assert same is not None
    asked = list(Requests(store))[1].asked
    assert (changed.read, changed.reason) == (asked.ends[0], "settings")
    assert same.read == asked.tokens


def test_engines_read_what_they_had_answered(store: Store) -> None:
    """The second prompt sends the first answer again: vLLM has its blocks, Claude has not."""
    first = (said("system", WORDS), said("user", "tell me"))
    second = (*first, said("assistant", WORDS[:3000]), said("user", "more"))
    for session, provider in (("v", "vllm"), ("c", "anthropic")):
        write_calls(
            store, [first, second], session=session, provider=provider, model=f"{CLAUDE}-{session}"
        )
    engine, claude = served(store)[1], served(store)[3]
    asked = list(Requests(store))[1].asked
    assert engine is not None
    assert claude is not None
    assert engine.read > asked.ends[2] - 32
    assert claude.read == asked.ends[1]


def test_positions_of_hashed_blocks_are_where_prompts_ended(store: Store) -> None:
    """A block is no segment: only the ends of prompts are places for a breakpoint."""
    write_calls(store, [blocks(range(50)), blocks(range(120))], block_tokens=16)
    longest = list(Requests(store))[1].asked
    assert [place for place, whole in enumerate(longest.whole) if whole] == [49, 119]

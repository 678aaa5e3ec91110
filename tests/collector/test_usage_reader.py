"""One reader for every source: whatever a mapping holds, its parts sum and its total holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_collector.usage import reader
from phasewise_collector.usage.reader import usage_of, usage_of_body
from phasewise_collector.usage.stated import Place, Stated, settle
from phasewise_store import billing
from phasewise_store.facts import Billing, OtherModel, Usage

COUNTS = st.none() | st.integers(0, 10**6)
PLACES: st.SearchStrategy[Place] = st.sampled_from(["inside", "outside", "unclear"])
STATED = st.builds(
    Stated,
    read=COUNTS,
    written=COUNTS,
    cache_read=COUNTS,
    cache_write=COUNTS,
    cache_write_5m=COUNTS,
    cache_write_1h=COUNTS,
    reasoning=COUNTS,
    total=COUNTS,
    cached=PLACES,
    thoughts=st.sampled_from(["inside", "outside"]),
)
NAMES = sorted(
    {
        path.partition(".")[0]
        for value in vars(reader).values()
        if isinstance(value, tuple)
        for path in value
        if isinstance(path, str)
    }
    | {"usage", "usageMetadata", "iterations", "server_tool_use", "promptTokensDetails", "type"}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=25,
)


def parts(usage: Usage) -> tuple[int, ...]:
    """Give every count."""
    return (
        *(usage.uncached_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens),
        *(usage.cache_write_1h_tokens, usage.output_tokens, usage.reasoning_tokens),
    )


@given(STATED)
def test_no_part_is_negative_and_the_bound_is_above(stated: Stated) -> None:
    """Whatever is stated: counts from 0 up, reasoning within the output, the input in its bound."""
    usage = settle(stated)
    assert min(parts(usage)) >= 0
    assert usage.reasoning_tokens <= usage.output_tokens
    assert usage.input_tokens_high is None or usage.input_tokens_high >= usage.input_tokens
    assert usage.ambiguous == (usage.input_tokens_high is not None)


@given(
    read=st.integers(0, 10**6),
    written=st.integers(0, 10**6),
    hit=st.integers(0, 10**6),
    stored=st.integers(0, 10**6),
    thought=st.integers(0, 10**6),
    inside=st.booleans(),
    thought_inside=st.booleans(),
    convention=PLACES,
)
def test_a_reading_holds_the_stated_total(
    *,
    read: int,
    written: int,
    hit: int,
    stored: int,
    thought: int,
    inside: bool,
    thought_inside: bool,
    convention: Place,
) -> None:
    """Where some reading gives the total that is stated, that reading is taken, and is certain."""
    whole = read + (hit + stored if inside else 0)
    answer = written + (thought if thought_inside else 0)
    total = read + hit + stored + written + thought
    usage = settle(
        Stated(
            read=whole,
            written=answer,
            cache_read=hit,
            cache_write=stored,
            reasoning=thought,
            total=total,
            cached=convention,
        )
    )
    if total:
        assert usage.input_tokens + usage.output_tokens == total
        assert not usage.ambiguous


@given(JSON)
def test_any_json_is_read_without_an_error(value: object) -> None:
    """A mapping of any content gives a usage or none, never an exception."""
    if isinstance(value, dict):
        for usage in (usage_of(value), usage_of_body(value)):
            assert usage is None or min(parts(usage)) >= 0


SHAPES: list[tuple[dict[str, object], tuple[int, int, int, int, int]]] = [
    # input, read from a cache, written to one, output, reasoning
    ({"prompt_tokens": 100, "completion_tokens": 5}, (100, 0, 0, 5, 0)),
    (
        {
            "prompt_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 60},
            "completion_tokens": 50,
            "completion_tokens_details": {"reasoning_tokens": 400},
            "total_tokens": 550,
        },
        (100, 60, 0, 450, 400),
    ),
    (
        {
            "input_tokens": 10,
            "cache_read_input_tokens": 60,
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 5,
        },
        (79, 60, 9, 5, 0),
    ),
    (
        {
            "input_tokens": 900,
            "output_tokens": 40,
            "total_tokens": 940,
            "cache_read_input_tokens": 512,
        },
        (900, 512, 0, 40, 0),
    ),
    (
        {
            "input_tokens": 9000,
            "cached_input_tokens": 1000,
            "cache_write_input_tokens": 6000,
            "output_tokens": 100,
        },
        (9000, 1000, 6000, 100, 0),
    ),
    (
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 60,
            "candidatesTokenCount": 50,
            "thoughtsTokenCount": 400,
            "toolUsePromptTokenCount": 10,
            "totalTokenCount": 560,
        },
        (110, 60, 0, 450, 400),
    ),
    (
        {
            "promptTokenCount": 341,
            "candidatesTokenCount": 3362,
            "thoughtsTokenCount": 3347,
            "totalTokenCount": 3703,
        },
        (341, 0, 0, 3362, 3347),
    ),
    (
        {"input": 1000, "output": 50, "cached": 400, "thoughts": 200, "tool": 0, "total": 1250},
        (1000, 400, 0, 250, 200),
    ),
    ({"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 60}, (70, 60, 0, 5, 0)),
    (
        {
            "inputTokens": 8400,
            "inputTokenDetails": {"cacheReadTokens": 3000, "cacheWriteTokens": 400},
            "outputTokens": 100,
        },
        (8400, 3000, 400, 100, 0),
    ),
    (
        {
            "input_tokens": 70,
            "output_tokens": 5,
            "total_tokens": 75,
            "input_token_details": {"cache_read": 60, "cache_creation": 3},
        },
        (70, 60, 3, 5, 0),
    ),
    (
        {"input": 10, "output": 20, "reasoning": 0, "cache": {"read": 600, "write": 100}},
        (710, 600, 100, 20, 0),
    ),
    (
        {"input": 1999, "input_cached_tokens": 1792, "output": 20, "total": 2019},
        (1999, 1792, 0, 20, 0),
    ),
    (
        {
            "input": 1100,
            "cache_creation_input_tokens": 1000,
            "cache_read_input_tokens": 5000,
            "output": 20,
            "total": 6120,
        },
        (6100, 5000, 1000, 20, 0),
    ),
    ({"tokens": {"input_tokens": 30, "output_tokens": 4}}, (30, 0, 0, 4, 0)),
]


@pytest.mark.parametrize(("usage", "expected"), SHAPES)
def test_every_shape_is_read(
    usage: dict[str, object], expected: tuple[int, int, int, int, int]
) -> None:
    """Each known shape gives the input with all it read, and is no matter of doubt."""
    found = usage_of(usage)
    assert found is not None
    assert not found.ambiguous
    assert (
        found.input_tokens,
        found.cache_read_tokens,
        found.cache_write_5m_tokens + found.cache_write_1h_tokens,
        found.output_tokens,
        found.reasoning_tokens,
    ) == expected


def test_a_total_that_no_reading_gives_is_ambiguous_and_bounded() -> None:
    """1000 + 100 is not 5000: at most 4900 were read."""
    found = usage_of({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 5000})
    assert found is not None
    assert (found.ambiguous, found.input_tokens, found.input_tokens_high) == (True, 1000, 4900)


def test_what_decides_the_price_is_read_and_kept() -> None:
    """Tier, speed, audio, searches and another model's tokens survive the way into the store."""
    advisor = {"type": "advisor_message", "model": "other", "input_tokens": 7, "output_tokens": 3}
    found = usage_of(
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "service_tier": "batch",
            "speed": "fast",
            "inference_geo": "us",
            "input_tokens_details": {"audio_tokens": 4},
            "server_tool_use": {"web_search_requests": 3},
            "iterations": [{"type": "message", "input_tokens": 10, "output_tokens": 5}, advisor],
        }
    )
    assert found is not None
    expected = Billing(
        service_tier="batch",
        speed="fast",
        region="us",
        input_audio_tokens=4,
        web_searches=3,
        other_models=(
            OtherModel("other", Usage(uncached_tokens=7, output_tokens=3, cache_reported=False)),
        ),
    )
    assert found.billing == expected
    again = billing.from_json(billing.to_json(expected))
    assert (again.service_tier, again.web_searches) == ("batch", 3)
    assert again.other_models[0].usage.input_tokens == 7

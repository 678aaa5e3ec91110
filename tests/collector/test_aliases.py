"""Every spelling in the table is read: one span a row, nothing else in it."""

import json
from collections.abc import Callable, Iterator, Mapping

import pytest
from phasewise_collector.dialects import aliases, usage_aliases
from phasewise_collector.dialects.content import take
from phasewise_collector.dialects.derive import derive
from phasewise_collector.otlp import protobuf
from phasewise_store.facts import LlmCall

from tests.collector.otlp_for_tests import START_NS, Made, request

ANSWERED = {usage_aliases.ESTIMATED_OUTPUT[0]: 1}
"""shows that a request was answered"""
BASE = {"openinference.span.kind": "LLM", "llm.model_name": "some-model", **ANSWERED}


def call_of(attributes: Mapping[str, object], **made: object) -> LlmCall:
    """Derive the one call of a span with these attributes."""
    span = Made(1, attributes=attributes, ms=2000, **made)  # type: ignore[arg-type]  # fields of Made
    received = protobuf.decode(request(span).SerializeToString()).spans
    (call,) = derive([take(one) for one in received]).llm_calls
    return call


def written(spelling: str, value: object) -> dict[str, object]:
    """Write an attribute so; what stands inside JSON is put there."""
    name, _, path = spelling.partition("#")
    if not path:
        return {name: value}
    document: object = value
    for key in reversed(path.split(".")):
        document = {key: document}
    return {name: json.dumps(document)}


INPUT: dict[str, object] = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500}
Read = Callable[[LlmCall], object]
ROWS: list[tuple[tuple[str, ...], object, object, dict[str, object], Read]] = [
    (usage_aliases.INPUT_TOKENS, 77, 77, {}, lambda call: call.usage.input_tokens),
    (usage_aliases.INPUT_WITHOUT_CACHE, 77, 77, {}, lambda call: call.usage.uncached_tokens),
    (usage_aliases.CACHE_READ_TOKENS, 64, 64, INPUT, lambda call: call.usage.cache_read_tokens),
    (
        usage_aliases.CACHE_WRITE_TOKENS,
        64,
        64,
        INPUT,
        lambda call: call.usage.cache_write_5m_tokens,
    ),
    (
        usage_aliases.CACHE_WRITE_1H_TOKENS,
        64,
        64,
        INPUT,
        lambda call: call.usage.cache_write_1h_tokens,
    ),
    (
        usage_aliases.CACHE_WRITE_5M_TOKENS,
        64,
        64,
        INPUT,
        lambda call: call.usage.cache_write_5m_tokens,
    ),
    (
        usage_aliases.INPUT_AUDIO_TOKENS,
        9,
        9,
        INPUT,
        lambda call: call.usage.billing.input_audio_tokens,
    ),
    (
        usage_aliases.CACHED_AUDIO_TOKENS,
        9,
        9,
        INPUT,
        lambda call: call.usage.billing.cached_audio_tokens,
    ),
    (
        usage_aliases.OUTPUT_AUDIO_TOKENS,
        9,
        9,
        INPUT,
        lambda call: call.usage.billing.output_audio_tokens,
    ),
    (usage_aliases.WEB_SEARCHES, 3, 3, INPUT, lambda call: call.usage.billing.web_searches),
    (
        usage_aliases.SERVICE_TIER,
        "flex",
        "flex",
        INPUT,
        lambda call: call.usage.billing.service_tier,
    ),
    (
        usage_aliases.ASKED_SERVICE_TIER,
        "flex",
        "flex",
        INPUT,
        lambda call: call.usage.billing.service_tier,
    ),
    (usage_aliases.SPEED, "fast", "fast", INPUT, lambda call: call.usage.billing.speed),
    (usage_aliases.REGION, "us", "us", INPUT, lambda call: call.usage.billing.region),
    (
        usage_aliases.RESPONSE_CACHE_HIT,
        True,
        True,
        INPUT,
        lambda call: call.usage.billing.response_cache_hit,
    ),
    (usage_aliases.OUTPUT_TOKENS, 33, 33, {}, lambda call: call.usage.output_tokens),
    (usage_aliases.REASONING_TOKENS, 21, 21, INPUT, lambda call: call.usage.reasoning_tokens),
    (aliases.FIRST_TOKEN_NS, 10**8, 10**8, {}, lambda call: call.ttft_ns),
    (aliases.FIRST_TOKEN_S, 0.25, 250_000_000, {}, lambda call: call.ttft_ns),
    (aliases.FIRST_TOKEN_MS, 250, 250_000_000, {}, lambda call: call.ttft_ns),
    (
        aliases.FIRST_TOKEN_AT,
        "2025-10-09T08:53:20.500+00:00",
        500_000_000,
        {},
        lambda call: call.ttft_ns,
    ),
    (aliases.MODEL, "some-model", "some-model", {}, lambda call: call.model),
    (aliases.PROVIDER, "anthropic", "anthropic", {}, lambda call: call.provider),
    (aliases.RESPONSE_ID, "id-of-answer", "id-of-answer", {}, lambda call: call.response_id),
    (aliases.SESSION, "s-1", "s-1", {}, lambda call: call.session_id),
    (aliases.USER, "u-1", "u-1", {}, lambda call: call.user_id),
    (aliases.AGENT, "planner", "planner", {}, lambda call: call.agent_id.rpartition("/")[2]),
    (aliases.FINISH_REASON, "stop", "stop", {}, lambda call: call.finish_reason),
    (usage_aliases.COST_USD, 0.5, 0.5, {}, lambda call: call.reported_cost_usd),
    (aliases.STREAMED, True, True, {}, lambda call: call.streamed),
    (aliases.TRUNCATED, True, True, {}, lambda call: call.truncated),
]


def rows() -> Iterator[object]:
    """Give each spelling with what it must be read as."""
    for names, value, expected, beside, read in ROWS:
        for name in names:
            yield pytest.param(name, value, expected, beside, read, id=name)


@pytest.mark.parametrize(("spelling", "value", "expected", "beside", "read"), list(rows()))
def test_every_spelling_is_read(
    spelling: str, value: object, expected: object, beside: dict[str, object], read: Read
) -> None:
    """The canonical fact has the value that stands under this name."""
    assert START_NS == 1_760_000_000 * 10**9  # FIRST_TOKEN_AT is half a second later
    base = {
        k: v for k, v in BASE.items() if k not in aliases.MODEL or spelling not in aliases.MODEL
    }
    assert read(call_of(base | beside | written(spelling, value))) == expected


@pytest.mark.parametrize("word", sorted(aliases.LLM_KINDS))
@pytest.mark.parametrize("name", aliases.KIND)
def test_every_word_for_a_call_is_known(name: str, word: str) -> None:
    """Wherever a convention writes the kind, each of these words means a call."""
    call = call_of({name: word.lower(), "gen_ai.request.model": "m", **ANSWERED})
    assert call.model == "m"


def test_events_of_a_first_token_are_known() -> None:
    """Each event name gives the time to first token."""
    for event in aliases.FIRST_TOKEN_EVENTS:
        assert call_of(BASE, events=[(event, 120)]).ttft_ns == 120_000_000

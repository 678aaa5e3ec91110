"""The one reader of the usage that a provider, an SDK or a trace file reports as a mapping.

Dialects, importers and recorded bodies all call it. The facts have the same few names everywhere;
what differs is where one count lies inside another, and that the shape says:

| shape | cached tokens | reasoning |
|---|---|---|
| OpenAI chat (`prompt_tokens`), also DeepSeek, Mistral, OpenRouter, x.ai | inside | inside |
| OpenAI responses, LangChain, Codex (`…_details`, `cached_input_tokens`) | inside | inside |
| Google (`promptTokenCount`), Gemini CLI (`cached`, `thoughts`) | inside | beside |
| Anthropic (`input_tokens`), Bedrock (`inputTokens`), pi, opencode (`input`) | beside | inside |
| Vercel AI SDK 6 (`inputTokenDetails`) | inside | inside |
| Vercel AI SDK 5 (`cachedInputTokens`) | as its provider has it | inside |
| Cohere (`tokens`, `billed_units`) | inside | inside |

A total that the source states decides against the shape; see `stated`.
"""

from collections.abc import Iterator

from phasewise_store.facts import Billing, OtherModel, Usage

from phasewise_collector.usage.numbers import MOST, Fields, at, count, inner, rows, word
from phasewise_collector.usage.stated import Place, Stated, settle

INPUT = (
    *("prompt_tokens", "promptTokenCount", "prompt_token_count", "input_tokens", "inputTokens"),
    *("inputTokens.total", "promptTokens", "inputTokenCount", "input_token_count", "input"),
    *("tokens.input_tokens", "billed_units.input_tokens"),
)
OUTPUT = (
    *("completion_tokens", "candidatesTokenCount", "candidates_token_count", "output_tokens"),
    *("outputTokens", "outputTokens.total", "completionTokens", "outputTokenCount"),
    *("output_token_count", "output", "tokens.output_tokens", "billed_units.output_tokens"),
)
TOTAL = (
    *("total_tokens", "totalTokenCount", "total_token_count", "totalTokens", "total"),
    "total_tokens_count",
)
CACHE_READ = (
    *("prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens"),
    *("input_token_details.cache_read", "inputTokenDetails.cacheReadTokens"),
    *("inputTokens.cacheRead", "prompt_cache_hit_tokens", "cache_read_input_tokens"),
    *("cacheReadInputTokens", "cacheReadInputTokenCount", "cachedContentTokenCount"),
    *("cached_content_token_count", "cached_input_tokens", "cachedInputTokens"),
    *("input_cache_read", "input_cached_tokens", "cache_read_tokens", "cacheRead"),
    *("prompt_details.cache_read", "cache.read", "cached_tokens", "cached"),
)
CACHE_WRITE = (
    *("prompt_tokens_details.cache_write_tokens", "prompt_tokens_details.cache_creation_tokens"),
    *("input_tokens_details.cache_write_tokens", "input_token_details.cache_creation"),
    *("inputTokenDetails.cacheWriteTokens", "inputTokens.cacheWrite"),
    *("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount"),
    *("cache_write_input_tokens", "input_cache_creation", "input_cache_write"),
    *("cache_write_tokens", "cacheWrite", "cache.write"),
)
CACHE_WRITE_5M = (
    *("cache_creation.ephemeral_5m_input_tokens", "input_cache_creation_5m"),
    *("prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",),
    *("input_token_details.ephemeral_5m_input_tokens",),
)
CACHE_WRITE_1H = (
    *("cache_creation.ephemeral_1h_input_tokens", "input_cache_creation_1h"),
    *("prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",),
    *("input_token_details.ephemeral_1h_input_tokens",),
)
REASONING = (
    *("completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens"),
    *("output_tokens_details.thinking_tokens", "output_token_details.reasoning"),
    *("outputTokenDetails.reasoningTokens", "outputTokens.reasoning", "thoughtsTokenCount"),
    *("thoughts_token_count", "reasoning_tokens", "reasoningTokens", "reasoning_output_tokens"),
    *("output_reasoning", "output_reasoning_tokens", "completion_details.reasoning"),
    *("thoughts", "reasoning"),
)
_TOOL_PROMPT = (
    "toolUsePromptTokenCount",
    "tool_use_prompt_token_count",
    "tool_token_count",
    "tool",
)
_GOOGLE = ("promptTokenCount", "prompt_token_count")
_DETAILS = ("input_tokens_details", "input_token_details", "prompt_tokens_details")
_AUDIO_IN = (
    *("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens"),
    *("input_token_details.audio", "input_token_details.audio_tokens", "input_audio_tokens"),
)
_AUDIO_CACHED = (
    "input_token_details.cached_tokens_details.audio_tokens",
    "input_tokens_details.cached_tokens_details.audio_tokens",
    "prompt_tokens_details.cached_tokens_details.audio_tokens",
)
_AUDIO_OUT = (
    *("completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens"),
    *("output_token_details.audio", "output_token_details.audio_tokens", "output_audio_tokens"),
)
_BESIDE_ITS_CALL = frozenset({"advisor_message", "compaction"})
"""iterations of an Anthropic call that its own counts leave out"""


def usage_of_body(body: Fields) -> Usage | None:
    """Return the usage of a provider's response; None where the body reports none."""
    usage = inner(body, "usageMetadata", "usage_metadata", "usage")
    return None if usage is None else usage_of(usage, service_tier=word(body, "service_tier"))


def reported_cost_usd(body: Fields) -> float | None:
    """Return the cost in USD that a gateway reports, e.g. OpenRouter's `usage.cost`."""
    for path in ("usage.cost", "usage.total_cost", "response_cost"):
        found = at(body, path)
        if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < MOST:
            return float(found)
    return None


def usage_of(usage: Fields, *, service_tier: str | None = None) -> Usage | None:
    """Return the usage that a `usage` mapping means; None where it counts nothing.

    `service_tier` is what stands beside the mapping, where it does not say so itself.
    """
    stated = stated_in(usage, service_tier=service_tier)
    return None if stated is None else settle(stated)


def stated_in(usage: Fields, *, service_tier: str | None = None) -> Stated | None:
    """Return the counts of a `usage` mapping and the convention of its shape."""
    read, written, total = count(usage, *INPUT), count(usage, *OUTPUT), count(usage, *TOTAL)
    counts = (read, written, *_cached_counts(usage))
    if all(one is None for one in counts):
        return None
    hit, stored, stored_5m, stored_1h = _cached_counts(usage)
    return Stated(
        read=_with_tools(usage, read, written, total),
        written=written,
        cache_read=hit,
        cache_write=_write_once(usage, read, hit, stored),
        cache_write_5m=stored_5m,
        cache_write_1h=stored_1h,
        reasoning=count(usage, *REASONING),
        total=total,
        cached=_place_of_cached(usage),
        thoughts="outside" if _is_googles(usage) else "inside",
        billing=billing_in(usage, service_tier=service_tier),
    )


def billing_in(usage: Fields, *, service_tier: str | None = None) -> Billing:
    """Return what else of a `usage` mapping decides the price."""
    region = word(usage, "inference_geo")
    speed = word(usage, "speed")
    return Billing(
        service_tier=word(usage, "service_tier", "serviceTier") or service_tier,
        speed=speed if speed != "standard" else None,
        region=region if region not in ("global", "not_available") else None,
        input_audio_tokens=_audio(usage, _AUDIO_IN, "promptTokensDetails", "prompt_tokens_details"),
        cached_audio_tokens=_audio(
            usage, _AUDIO_CACHED, "cacheTokensDetails", "cache_tokens_details"
        ),
        output_audio_tokens=_audio(
            usage, _AUDIO_OUT, "candidatesTokensDetails", "candidates_tokens_details"
        ),
        web_searches=count(
            usage, "server_tool_use.web_search_requests", "serverToolUse.webSearchRequests"
        )
        or 0,
        other_models=tuple(_other_models(usage)),
    )


def _cached_counts(usage: Fields) -> tuple[int | None, ...]:
    return tuple(
        count(usage, *names) for names in (CACHE_READ, CACHE_WRITE, CACHE_WRITE_5M, CACHE_WRITE_1H)
    )


def _place_of_cached(usage: Fields) -> Place:
    if count(usage, "prompt_tokens", "promptTokens") is not None or _is_googles(usage):
        return "inside"
    if count(usage, "inputTokens") is not None:
        if inner(usage, "inputTokenDetails") is not None:
            return "inside"
        return "unclear" if count(usage, "cachedInputTokens") is not None else "outside"
    if any(inner(usage, name) is not None for name in (*_DETAILS, "inputTokens")):
        return "inside"
    if count(usage, "cached_input_tokens", "cached") is not None:
        return "inside"
    beside = count(usage, "input_tokens", "input") is not None
    return "outside" if beside else "inside"


def _is_googles(usage: Fields) -> bool:
    named = any(count(usage, name) is not None for name in _GOOGLE)
    return named or count(usage, "thoughts", "thoughts_token_count") is not None


def _with_tools(
    usage: Fields, read: int | None, written: int | None, total: int | None
) -> int | None:
    """Add what Google counts beside the prompt: results of its own tools, as the total shows."""
    tools = count(usage, *_TOOL_PROMPT) if _is_googles(usage) else None
    if not tools or read is None:
        return read
    without = read + (written or 0)
    thought = count(usage, *REASONING) or 0
    return read if total in (without, without + thought) else read + tools


def _write_once(usage: Fields, read: int | None, hit: int | None, stored: int | None) -> int | None:
    """Clip the writes of an inclusive body that says of the same tokens that they were read.

    OpenRouter does so of Gemini: then they were read.
    """
    if None in (read, hit, stored) or _place_of_cached(usage) != "inside":
        return stored
    assert read is not None and hit is not None and stored is not None
    return min(stored, read - hit) if hit <= read and stored <= hit else stored


def _audio(usage: Fields, paths: tuple[str, ...], *lists: str) -> int:
    """Return audio tokens: a number of OpenAI's, or one of Google's list of modalities."""
    plain = count(usage, *paths)
    if plain is not None:
        return plain
    listed = (
        count(one, "tokenCount", "token_count") or 0
        for one in rows(usage, *lists)
        if str(at(one, "modality")).rpartition(".")[2].upper() == "AUDIO"
    )
    return sum(listed)


def _other_models(usage: Fields) -> Iterator[OtherModel]:
    for one in rows(usage, "iterations"):
        if word(one, "type") in _BESIDE_ITS_CALL:
            found = usage_of({name: value for name, value in one.items() if name != "iterations"})
            if found is not None:
                yield OtherModel(word(one, "model"), found)

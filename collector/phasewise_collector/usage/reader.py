"""Read the usage that a provider's response body reports, by its shape.

Shapes: OpenAI chat (`prompt_tokens`) with the cache fields of DeepSeek, Mistral and OpenRouter;
OpenAI responses (`input_tokens_details`); Anthropic (`cache_creation_input_tokens`, cached tokens
beside the input); Google (`usageMetadata`); Bedrock Converse (`inputTokens`, cached beside);
Cohere (`tokens`, `billed_units`).
"""

from collections.abc import Mapping

from phasewise_store.facts import Usage

Body = Mapping[str, object]


def usage_of_body(body: Body) -> Usage | None:
    """Give the usage of a response; None where the body reports none."""
    google = _inner(body, "usageMetadata") or _inner(body, "usage_metadata")
    if google is not None:
        return _google(google)
    usage = _inner(body, "usage")
    return None if usage is None else usage_of(usage)


def usage_of(usage: Body) -> Usage | None:
    """Give the usage that a `usage` object means."""
    if "prompt_tokens" in usage:
        return _openai_chat(usage)
    if "inputTokens" in usage:
        return _bedrock(usage)
    if "input_tokens_details" in usage:
        return _openai_responses(usage)
    if "input_tokens" in usage:
        return _anthropic(usage)
    if "tokens" in usage or "billed_units" in usage:
        return _cohere(usage)
    return None


def _openai_chat(usage: Body) -> Usage:
    read = _count(usage, "prompt_tokens")
    details = _inner(usage, "prompt_tokens_details") or {}
    cached = _first(
        (details, "cached_tokens"), (usage, "prompt_cache_hit_tokens"), (usage, "cache_read_tokens")
    )
    stored = _first((details, "cache_write_tokens"), (usage, "cache_creation_input_tokens")) or 0
    written = _count(usage, "completion_tokens")
    output_details = _inner(usage, "completion_tokens_details") or {}
    reasoning = _first((output_details, "reasoning_tokens"), (usage, "reasoning_tokens")) or 0
    total = _count(usage, "total_tokens")
    if reasoning and total == read + written + reasoning:
        written += reasoning  # x.ai counts reasoning beside the completion, as its total shows
    return _inside(read, cached, stored, output=written, reasoning=reasoning)


def _openai_responses(usage: Body) -> Usage:
    details = _inner(usage, "input_tokens_details") or {}
    output_details = _inner(usage, "output_tokens_details") or {}
    return _inside(
        _count(usage, "input_tokens"),
        _first((details, "cached_tokens")),
        _first((details, "cache_write_tokens")) or 0,
        output=_count(usage, "output_tokens"),
        reasoning=_count(output_details, "reasoning_tokens"),
    )


def _anthropic(usage: Body) -> Usage:
    by_ttl = _inner(usage, "cache_creation") or {}
    hour = _count(by_ttl, "ephemeral_1h_input_tokens")
    stored = max(_count(usage, "cache_creation_input_tokens"), hour)
    details = _inner(usage, "output_tokens_details") or {}
    written = _count(usage, "output_tokens")
    return Usage(
        uncached_tokens=_count(usage, "input_tokens"),
        cache_read_tokens=_count(usage, "cache_read_input_tokens"),
        cache_write_5m_tokens=stored - hour,
        cache_write_1h_tokens=hour,
        output_tokens=written,
        reasoning_tokens=min(_count(details, "thinking_tokens"), written),
        cache_reported="cache_read_input_tokens" in usage,
    )


def _bedrock(usage: Body) -> Usage:
    cached = _first((usage, "cacheReadInputTokens"), (usage, "cacheReadInputTokenCount"))
    stored = _first((usage, "cacheWriteInputTokens"), (usage, "cacheWriteInputTokenCount")) or 0
    return Usage(
        uncached_tokens=_count(usage, "inputTokens"),
        cache_read_tokens=cached or 0,
        cache_write_5m_tokens=stored,
        output_tokens=_count(usage, "outputTokens"),
        cache_reported=cached is not None,
    )


def _google(usage: Body) -> Usage:
    def count(camel: str, snake: str) -> int:
        return _first((usage, camel), (usage, snake)) or 0

    read = count("promptTokenCount", "prompt_token_count")
    read += count("toolUsePromptTokenCount", "tool_use_prompt_token_count")
    thought = count("thoughtsTokenCount", "thoughts_token_count")
    written = count("candidatesTokenCount", "candidates_token_count") + thought
    cached = count("cachedContentTokenCount", "cached_content_token_count")
    return _inside(read, cached, 0, output=written, reasoning=thought)


def _cohere(usage: Body) -> Usage:
    counted = _inner(usage, "tokens") or _inner(usage, "billed_units") or {}
    return _inside(
        _count(counted, "input_tokens"),
        _first((usage, "cached_tokens")),
        0,
        output=_count(counted, "output_tokens"),
        reasoning=0,
    )


def _inside(read: int, cached: int | None, stored: int, *, output: int, reasoning: int) -> Usage:
    """Make the usage of a body that counts cached tokens inside its input.

    Proxies in front of Claude exist that do not: cached tokens beyond the input show it. OpenRouter
    says of Gemini that the same tokens were read and written: then they were read.
    """
    hit = cached or 0
    outside = hit > read
    stored = stored if outside else min(stored, read - hit)
    return Usage(
        uncached_tokens=read if outside else read - hit - stored,
        cache_read_tokens=hit,
        cache_write_5m_tokens=stored,
        output_tokens=output,
        reasoning_tokens=min(reasoning, output),
        ambiguous=outside,
        cache_reported=cached is not None,
        input_tokens_high=read + hit + stored if outside else None,
    )


def _inner(fields: Body, name: str) -> Body | None:
    found = fields.get(name)
    return found if isinstance(found, Mapping) else None


def _count(fields: Body, name: str) -> int:
    return _first((fields, name)) or 0


def _first(*places: tuple[Body, str]) -> int | None:
    """Give the first count that is there; a number below zero is none."""
    for fields, name in places:
        value = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return int(value)
    return None

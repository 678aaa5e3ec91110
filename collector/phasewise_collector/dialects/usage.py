"""Normalise a span's token counts; unclear counts are flagged and bounded, never guessed.

The attribute names are in `usage_aliases`; the rule that makes `Usage` of counts is shared by all
sources (`phasewise_collector.usage`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from phasewise_store.facts import Billing, Usage

from phasewise_collector.dialects import aliases, blobs, usage_aliases
from phasewise_collector.dialects.aliases import Attributes
from phasewise_collector.usage import reader
from phasewise_collector.usage.numbers import count
from phasewise_collector.usage.stated import Place, Stated, settle, without_total

SENDERS: tuple[tuple[str, tuple[int, ...], Place], ...] = (
    # Arize-ai/openinference#2414 (2025-11): before it, LangChain's Anthropic counts were passed on
    ("openinference.instrumentation.langchain", (0, 1, 56), "inside"),
    ("openinference.instrumentation.langchain", (), "unclear"),
    # #1429 (2025-03) folded the cached tokens in, before #1465 (2025-04) reported them
    ("openinference.", (), "inside"),
    # traceloop/openllmetry#4449 (2026-09): Converse passes AWS's numbers on, InvokeModel folds in
    ("opentelemetry.instrumentation.bedrock", (), "unclear"),
    # #2175 (2024-10) folded them in when it first reported them
    ("opentelemetry.", (), "inside"),
    ("com.anthropic.claude_code", (), "outside"),
    ("com.anthropic.", (), "inside"),
    ("langfuse-sdk", (), "outside"),  # its usage details are to add up to the total
    ("pydantic-ai", (), "inside"),
    ("ai", (), "inside"),
    ("gen_ai", (), "inside"),
    ("phasewise", (), "inside"),
    ("vllm", (), "inside"),
    ("sglang", (), "inside"),
    ("crewai", (), "inside"),
    ("gcp.vertex.agent", (), "inside"),
)
"""instrumentation scope (or, with a dot, its beginning), from which version on, how it counts; the
first that fits is taken. OpenTelemetry's and OpenInference's conventions say `inside`."""

CACHE_OUTSIDE_PROVIDERS = ("anthropic", "bedrock", "amazon")
"""in the names of providers whose own API counts cached tokens beside the input: only there can a
sender mean both"""
_FRAMEWORKS = ("strands", "mastra")
"""senders that give their own name as the provider, and pass a provider's numbers on"""

_AI_SDK_INPUT = ("ai.usage.inputTokens", "ai.usage.promptTokens")
_AI_SDK_6 = "ai.usage.inputTokenDetails."


def counting_of(scope_name: str, scope_version: str, attributes: Attributes) -> Place:
    """Say where a sender counts cached tokens: in its input, beside it, or unclear."""
    if aliases.first(attributes, usage_aliases.INPUT_TOKENS) is None:
        return "outside"  # Claude Code's `input_tokens`
    if aliases.named_first(attributes, usage_aliases.INPUT_TOKENS) in usage_aliases.OUTSIDE:
        return "outside"  # Langfuse's details are to add up to the total
    could_be_outside = _of_a_provider_that_counts_beside(attributes)
    if could_be_outside and _is_ai_sdk_before_6(attributes):
        return "outside"
    for name, since, counting in SENDERS:
        fits = scope_name.startswith(name) if name.endswith(".") else scope_name == name
        if fits and (not since or _version(scope_version) >= since):
            return "inside" if counting == "unclear" and not could_be_outside else counting
    return "unclear" if could_be_outside else "inside"


def usage_of(attributes: Attributes, scope_name: str = "", scope_version: str = "") -> Usage:
    """Return the usage of an LLM call.

    A sender that is unclear, or whose cached tokens exceed its input, is ambiguous unless the total
    decides: the input is bounded from below by the reading with the cached tokens inside (or, where
    that is impossible, by what was not cached), and from above by the sum.
    """
    billing = _billing(attributes)
    own = _mapping(attributes, usage_aliases.PROVIDERS_OWN)
    if count(own, *reader.INPUT) is not None:
        return _with(reader.usage_of(own), billing)
    stated = _stated(attributes, billing)
    if stated.read is None and stated.written is None:
        whole = reader.usage_of(_mapping(attributes, usage_aliases.WHOLE_USAGE))
        return _estimated(attributes, billing) if whole is None else _with(whole, billing)
    stated = replace(stated, cached=counting_of(scope_name, scope_version, attributes))
    if stated.cached == "outside" and _is_ai_sdk_before_6(attributes):
        stated = without_total(stated)  # vercel/ai#8794: it adds up what it was given
    return settle(stated)


def _stated(attributes: Attributes, billing: Billing) -> Stated:
    def whole(names: Sequence[str]) -> int | None:
        return aliases.whole(attributes, names)

    read = whole(usage_aliases.INPUT_TOKENS)
    return Stated(
        read=whole(usage_aliases.INPUT_WITHOUT_CACHE) if read is None else read,
        written=whole(usage_aliases.OUTPUT_TOKENS),
        cache_read=whole(usage_aliases.CACHE_READ_TOKENS),
        cache_write=whole(usage_aliases.CACHE_WRITE_TOKENS),
        cache_write_5m=whole(usage_aliases.CACHE_WRITE_5M_TOKENS),
        cache_write_1h=whole(usage_aliases.CACHE_WRITE_1H_TOKENS),
        reasoning=whole(usage_aliases.REASONING_TOKENS),
        total=whole((*usage_aliases.TOTAL_TOKENS, *usage_aliases.TOTAL_OF_AI_SDK)),
        billing=billing,
    )


def _billing(attributes: Attributes) -> Billing:
    """Return what else decides the price: from attributes, else from a usage object."""

    def number(names: Sequence[str]) -> int:
        return aliases.whole(attributes, names) or 0

    own = _mapping(attributes, (*usage_aliases.PROVIDERS_OWN, *usage_aliases.WHOLE_USAGE))
    said = Billing(
        service_tier=aliases.text(attributes, usage_aliases.SERVICE_TIER)
        or aliases.text(attributes, usage_aliases.ASKED_SERVICE_TIER),
        speed=aliases.text(attributes, usage_aliases.SPEED),
        region=aliases.text(attributes, usage_aliases.REGION),
        input_audio_tokens=number(usage_aliases.INPUT_AUDIO_TOKENS),
        cached_audio_tokens=number(usage_aliases.CACHED_AUDIO_TOKENS),
        output_audio_tokens=number(usage_aliases.OUTPUT_AUDIO_TOKENS),
        web_searches=number(usage_aliases.WEB_SEARCHES),
        response_cache_hit=_is_true(aliases.first(attributes, usage_aliases.RESPONSE_CACHE_HIT)),
    )
    return merged(said, reader.billing_in(own)) if own else said


def merged(first: Billing, second: Billing) -> Billing:
    """Return what either says; where both do, the first."""
    found = {
        field.name: getattr(first, field.name) or getattr(second, field.name)
        for field in fields(Billing)
    }
    return Billing(**found)


def _with(usage: Usage | None, billing: Billing) -> Usage:
    assert usage is not None
    return replace(usage, billing=merged(billing, usage.billing))


def _of_a_provider_that_counts_beside(attributes: Attributes) -> bool:
    provider = (aliases.text(attributes, aliases.PROVIDER) or "").lower()
    if provider.startswith(_FRAMEWORKS):
        model = (aliases.text(attributes, aliases.MODEL) or "").lower()
        return any(name in model for name in ("claude", "anthropic", "nova"))
    return any(name in provider for name in CACHE_OUTSIDE_PROVIDERS)


def _is_ai_sdk_before_6(attributes: Attributes) -> bool:
    """Return whether Vercel's AI SDK wrote the span in the way of before version 6."""
    return any(name in attributes for name in _AI_SDK_INPUT) and not any(
        name.startswith(_AI_SDK_6) for name in attributes
    )


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _mapping(attributes: Attributes, names: Sequence[str]) -> Mapping[str, object]:
    found = (blobs.object_in(attributes.get(name)) for name in names)
    return next((one for one in found if one), {})


def _estimated(attributes: Attributes, billing: Billing) -> Usage:
    """Take the estimate that was made of the text; a stream without `include_usage` has no more."""
    read = aliases.whole(attributes, usage_aliases.ESTIMATED_INPUT)
    written = aliases.whole(attributes, usage_aliases.ESTIMATED_OUTPUT)
    if read is None and written is None:
        return Usage(origin="absent", cache_reported=False, billing=billing)
    return Usage(
        uncached_tokens=read or 0,
        output_tokens=written or 0,
        origin="estimated",
        cache_reported=False,
        billing=billing,
    )


def _version(text: str) -> tuple[int, ...]:
    parts = text.split("+", maxsplit=1)[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())

"""Normalise a span's token counts; what is unclear is flagged and bounded, never guessed."""

from typing import Literal

from phasewise_store.facts import Usage

from phasewise_collector.dialects import aliases
from phasewise_collector.dialects.aliases import Attributes

Counting = Literal["inside", "outside", "unclear"]
"""whether the input that a sender reports has the cached tokens inside it"""

SENDERS: tuple[tuple[str, tuple[int, ...], Counting], ...] = (
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
    ("phasewise.", (), "inside"),  # our importers, which write what they have normalised
    ("vllm", (), "inside"),
    ("sglang", (), "inside"),
    ("crewai", (), "inside"),
    ("gcp.vertex.agent", (), "inside"),
)
"""instrumentation scope (or, with a dot, its beginning), from which version on, how it counts; the
first that fits is taken. OpenTelemetry's and OpenInference's conventions say `inside`."""

CACHE_OUTSIDE_PROVIDERS = ("anthropic", "aws.bedrock", "bedrock")
"""whose own API counts cached tokens beside the input: only there can a sender mean both"""


def counting_of(scope_name: str, scope_version: str, attributes: Attributes) -> Counting:
    """Say how a sender counts."""
    if aliases.first(attributes, aliases.INPUT_TOKENS) is None:
        return "outside"  # Claude Code's `input_tokens`
    if aliases.named_first(attributes, aliases.INPUT_TOKENS) in aliases.OUTSIDE:
        return "outside"  # Langfuse's details are to add up to the total
    provider = (aliases.text(attributes, aliases.PROVIDER) or "").lower()
    could_be_outside = provider.startswith(CACHE_OUTSIDE_PROVIDERS)
    for name, since, counting in SENDERS:
        fits = scope_name.startswith(name) if name.endswith(".") else scope_name == name
        if fits and (not since or _version(scope_version) >= since):
            return "inside" if counting == "unclear" and not could_be_outside else counting
    return "unclear" if could_be_outside else "inside"


def usage_of(attributes: Attributes, scope_name: str = "", scope_version: str = "") -> Usage:
    """Give the usage of an LLM call.

    A sender that is unclear, or whose cached tokens exceed its input, is ambiguous: the input is
    bounded from below by the reading with the cached tokens inside (or, where that is impossible,
    by what was not cached), and from above by the sum.
    """
    inside = aliases.whole(attributes, aliases.INPUT_TOKENS)
    outside = aliases.whole(attributes, aliases.INPUT_WITHOUT_CACHE)
    written = aliases.whole(attributes, aliases.OUTPUT_TOKENS)
    if inside is None and outside is None and written is None:
        return _estimated(attributes)
    counting = counting_of(scope_name, scope_version, attributes)
    read = (inside if inside is not None else outside) or 0
    hit = aliases.whole(attributes, aliases.CACHE_READ_TOKENS)
    stored = aliases.whole(attributes, aliases.CACHE_WRITE_TOKENS) or 0
    stored_1h = aliases.whole(attributes, aliases.CACHE_WRITE_1H_TOKENS) or 0
    stored = max(stored, stored_1h)
    cached = (hit or 0) + stored
    impossible = cached > read
    ambiguous = counting != "outside" and cached > 0 and (impossible or counting == "unclear")
    output = written or 0
    return Usage(
        uncached_tokens=read if counting == "outside" or impossible else read - cached,
        cache_read_tokens=hit or 0,
        cache_write_5m_tokens=stored - stored_1h,
        cache_write_1h_tokens=stored_1h,
        output_tokens=output,
        reasoning_tokens=min(aliases.whole(attributes, aliases.REASONING_TOKENS) or 0, output),
        ambiguous=ambiguous,
        cache_reported=hit is not None,
        input_tokens_high=read + cached if ambiguous else None,
    )


def _estimated(attributes: Attributes) -> Usage:
    """Take the estimate that was made of the text; a stream without `include_usage` has no more."""
    read = aliases.whole(attributes, aliases.ESTIMATED_INPUT)
    written = aliases.whole(attributes, aliases.ESTIMATED_OUTPUT)
    if read is None and written is None:
        return Usage(origin="absent", cache_reported=False)
    return Usage(
        uncached_tokens=read or 0,
        output_tokens=written or 0,
        origin="estimated",
        cache_reported=False,
    )


def _version(text: str) -> tuple[int, ...]:
    parts = text.split("+", maxsplit=1)[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())

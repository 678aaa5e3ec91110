"""Normalise a span's token counts; what is unclear is flagged and bounded, never guessed."""

from phasewise_store.facts import Usage

from phasewise_collector.dialects import aliases
from phasewise_collector.dialects.aliases import Attributes


def usage_of(attributes: Attributes) -> Usage:
    """Give the usage of an LLM call.

    All conventions read here count cached tokens inside the input. A sender whose cached tokens
    exceed its input does not: then the input is what was not cached, and the call is ambiguous.
    """
    read = aliases.whole(attributes, aliases.INPUT_TOKENS)
    written = aliases.whole(attributes, aliases.OUTPUT_TOKENS)
    if read is None and written is None:
        return _estimated(attributes)
    read = read or 0
    hit = aliases.whole(attributes, aliases.CACHE_READ_TOKENS)
    stored = aliases.whole(attributes, aliases.CACHE_WRITE_TOKENS) or 0
    stored_1h = aliases.whole(attributes, aliases.CACHE_WRITE_1H_TOKENS) or 0
    stored = max(stored, stored_1h)
    cached = (hit or 0) + stored
    ambiguous = cached > read
    output = written or 0
    return Usage(
        uncached_tokens=read if ambiguous else read - cached,
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

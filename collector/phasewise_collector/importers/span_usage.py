"""Write the usage of an exported record as attributes of its span."""

from collections.abc import Mapping

from phasewise_collector.otlp.spans import Value
from phasewise_collector.usage.reader import usage_of_body

SCOPE = "phasewise.importers"
"""scope of spans whose usage is written here: their input counts cached tokens"""


def of_usage(usage: Mapping[str, object]) -> dict[str, Value]:
    """Give the attributes that a `usage` object means; none where it means nothing."""
    return _written({"usage": usage})


def of_counts(
    read: object, written: object, read_details: object = None, written_details: object = None
) -> dict[str, Value]:
    """Give the attributes of LangChain's counts: the input counts what its details name."""
    if read is None and written is None:
        return {}
    inside = read_details if isinstance(read_details, Mapping) else {}
    outside = written_details if isinstance(written_details, Mapping) else {}
    usage = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "prompt_tokens_details": {
            "cached_tokens": inside.get("cache_read"),
            "cache_write_tokens": inside.get("cache_creation"),
        },
        "completion_tokens_details": {"reasoning_tokens": outside.get("reasoning")},
    }
    return _written({"usage": usage})


def _written(body: Mapping[str, object]) -> dict[str, Value]:
    usage = usage_of_body(body)
    if usage is None:
        return {}
    # of an ambiguous usage, the dialects find both readings again
    read = usage.uncached_tokens if usage.ambiguous else usage.input_tokens
    stored = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    found: dict[str, Value] = {
        "gen_ai.usage.input_tokens": read,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }
    if usage.cache_reported:
        found["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read_tokens
    if stored:
        found["gen_ai.usage.cache_write.input_tokens"] = stored
    if usage.cache_write_1h_tokens:
        found["anthropic.usage.cache_creation.ephemeral_1h_input_tokens"] = (
            usage.cache_write_1h_tokens
        )
    if usage.reasoning_tokens:
        found["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    return found

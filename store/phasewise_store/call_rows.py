"""Convert a stored row of `llm_calls` back to a fact, without its prompt and output."""

from collections.abc import Mapping
from typing import Any

import orjson

from phasewise_store import billing
from phasewise_store.facts import Description, Labels, LlmCall, Usage

_USAGE = (
    "uncached_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "ambiguous",
    "cache_reported",
    "input_tokens_high",
)
_OTHERWISE = {"usage", "prompt", "output", "request", "described_by", "labels", "identities"}
_FACTS = tuple(name for name in LlmCall.__slots__ if name not in _OTHERWISE)


def call_of(row: Mapping[str, Any]) -> LlmCall:
    """Return the call of a row; `Store.rewrite` keeps the content of a call that comes without."""
    return LlmCall(
        **{name: row[name] for name in _FACTS},
        usage=Usage(
            origin=row["usage_origin"],
            billing=billing.from_json(row["billing"]),
            **{name: row[name] for name in _USAGE},
        ),
        request=orjson.loads(row["request"]),
        labels=Labels(
            row["version"],
            row["customer"],
            tuple(row["tags"] or ()),
            orjson.loads(row["metadata"] or "{}"),
        ),
        described_by=tuple(
            Description(**one | {"gave": tuple(one["gave"])})
            for one in orjson.loads(row["described_by"])
        ),
    )

"""`Billing` as the JSON that `llm_calls.billing` holds: only what differs from an ordinary call."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

import orjson

from phasewise_store.facts import ORDINARY, Billing, OtherModel, Usage

_COUNTS = (
    *("uncached_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("output_tokens", "reasoning_tokens"),
)


def to_json(billing: Billing) -> str:
    """Write it; an ordinary call gives `{}`."""
    if billing == ORDINARY:
        return "{}"
    found: dict[str, object] = {
        field.name: value
        for field in fields(Billing)
        if (value := getattr(billing, field.name)) != field.default
    }
    if billing.other_models:
        found["other_models"] = [
            {"model": one.model, **{name: getattr(one.usage, name) for name in _COUNTS}}
            for one in billing.other_models
        ]
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def from_json(written: str | None) -> Billing:
    """Read what `to_json` wrote; a row from before the column was added has none."""
    if written is None or written == "{}":
        return ORDINARY
    found = orjson.loads(written)
    others = cast("list[Mapping[str, object]]", found.pop("other_models", []))
    return Billing(**found, other_models=tuple(map(_other, others)))


def _other(row: Mapping[str, object]) -> OtherModel:
    model = row["model"]
    counts = {name: cast("int", row[name]) for name in _COUNTS}
    usage = replace(Usage(), **cast("dict[str, Any]", counts))
    return OtherModel(None if model is None else str(model), usage)

"""Write facts as JSON, in the same form on the command line, in page twins and in reports."""

from decimal import Decimal

import orjson

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS


def to_json(value: object, *, sort_keys: bool = False) -> str:
    """Write dataclasses, mappings and lists; a Decimal becomes a number, no number is infinite."""
    options = _OPTIONS | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    return orjson.dumps(value, default=_plain, option=options).decode()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"no JSON for {type(value).__name__}")

"""Import a case and hold what the command line then says against its `expected.json`.

A case is a folder. Parts that are named 1-…, 2-… are imported in that order, else every file and
folder in it, one after the other.
"""

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phasewise_web.cli.main import main

SUMS = (
    "input_tokens",
    "uncached_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
Row = Mapping[str, Any]


def expected(case: Path) -> dict[str, Any]:
    """Give what is right of a case."""
    document = json.loads((case / "expected.json").read_text())
    found = document.get("expected", document)
    return {name: value for name, value in found.items() if name != "why"}


def parts(case: Path) -> list[Path]:
    """Give what is imported, in order."""
    return sorted(path for path in case.iterdir() if path.name != "expected.json")


def ask(database: Path, *words: str) -> tuple[int, str]:
    """Run a command; give its exit code and what it prints."""
    command, *rest = words
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main([command, "--db", str(database), *rest])
    return code, out.getvalue()


def rows(database: Path, command: str, *words: str) -> list[Row]:
    """Give the rows that a command prints."""
    code, printed = ask(database, command, "--json", *words)
    found = json.loads(printed) if code == 0 else []
    return found if isinstance(found, list) else list(found.get(command, found.get("rows", [])))


def imported(database: Path, paths: Iterable[Path]) -> int:
    """Import the parts of a case; give how many records were skipped."""
    skipped = 0
    for path in paths:
        code, printed = ask(database, "import", "--json", str(path))
        if code == 0:
            skipped += len(json.loads(printed)["skipped"])
    return skipped


def facts(database: Path, skipped: int) -> dict[str, Any]:
    """Say what a database holds in the words of `expected.json`."""
    calls = rows(database, "calls", "--limit", "1000")
    calls.sort(key=lambda call: (call.get("started_ns") or 0, call.get("ordinal") or 0))
    found: dict[str, Any] = {name: sum(call.get(name) or 0 for call in calls) for name in SUMS}
    prices = [_usd(call) for call in calls]
    per_million = [_usd_per_million_input(call) for call in calls]
    return found | {
        "cache_write_tokens": found["cache_write_5m_tokens"] + found["cache_write_1h_tokens"],
        "calls": len(calls),
        "sessions": len({call["session_id"] for call in calls}),
        "session_ids": sorted({call["session_id"] for call in calls}),
        "agents": sorted({call["agent"] for call in calls}),
        "skipped": skipped,
        "priced_calls": sum(price is not None for price in prices),
        "total_usd": None if not calls or None in prices else round(sum(filter(None, prices)), 6),
        "usd": [None if price is None else round(price, 6) for price in prices],
        "usd_per_million_input": per_million,
        "per_call": [
            {**call, "usd_per_m_input": price}
            for call, price in zip(calls, per_million, strict=True)
        ],
    }


def faults(database: Path, wanted: Mapping[str, Any], skipped: int) -> list[str]:
    """Say where a database differs from what is right."""
    found = facts(database, skipped)
    return [
        fault
        for name, value in wanted.items()
        if (fault := _rule(name)(database, found, name, value)) is not None
    ]


def _usd(call: Row) -> float | None:
    if call.get("prefill_usd") is None:
        return None
    parts = ("prefill_usd", "decode_usd", "other_usd")
    return sum((float(call[name]) for name in parts), start=0.0)


def _usd_per_million_input(call: Row) -> float | None:
    if call.get("prefill_usd") is None or not call["input_tokens"]:
        return None
    return round(1e6 * float(call["prefill_usd"]) / int(call["input_tokens"]), 4)


Rule = Callable[[Path, Mapping[str, Any], str, Any], str | None]


def _equal(_: Path, found: Mapping[str, Any], name: str, value: object) -> str | None:
    here = found.get(name)
    if name == "output_tokens" and isinstance(value, list):
        here = [call["output_tokens"] for call in found["per_call"]]
    if name == "agents" and isinstance(value, Sequence):
        value = sorted(value)
    return None if here == value else f"{name} is {here}, right is {value}"


def _each_call(_: Path, found: Mapping[str, Any], name: str, value: list[Row]) -> str | None:
    calls = found[name]
    if len(calls) != len(value):
        return f"{len(calls)} calls, right are {len(value)}"
    wrong = [
        f"call {place}: {field} is {call.get(field)}, right is {right}"
        for place, (call, wanted) in enumerate(zip(calls, value, strict=True))
        for field, right in wanted.items()
        if call.get(field) != right
    ]
    return "; ".join(wrong) or None


def _any_price(_: Path, found: Mapping[str, Any], name: str, value: list[object]) -> str | None:
    here = found["total_usd"]
    good = found["calls"] and here in value
    return None if good else f"{name}: total_usd is {here}, right is one of {value}"


def _bounded(_: Path, found: Mapping[str, Any], name: str, value: int) -> str | None:
    good = any(
        value in (call["input_tokens"], call.get("input_tokens_high")) for call in found["per_call"]
    )
    return None if good else f"{name}: no call's input is {value}, or bounded by it"


def _reuse(database: Path, found: Mapping[str, Any], name: str, value: float) -> str | None:
    del found
    printed = ask(database, "prefixes", "--json")[1]
    share = float(json.loads(printed)["reuse"]["any_earlier"]["token_weighted"])
    return None if share <= value + 1e-9 else f"{name}: reuse is {share:.4f}, at most {value:.4f}"


def _side_bill(database: Path, found: Mapping[str, Any], name: str, value: float) -> str | None:
    del found
    here = round(sum(float(one.get("total_usd") or 0) for one in rows(database, "agents")), 6)
    return None if here == value else f"{name} of the agents is {here}, right is {value}"


_RULES: dict[str, Rule] = {
    "per_call": _each_call,
    "total_usd_any": _any_price,
    "input_tokens_or_high": _bounded,
    "reuse_any_earlier_max": _reuse,
    "agents_total_usd": _side_bill,
}


def _rule(name: str) -> Rule:
    return _RULES.get(name, _equal)

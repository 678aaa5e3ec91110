"""What a Codex rollout says of tokens: a record a response, or a running total, or both.

Since 0.147 a `token_usage_record` ends each response and carries its id; `token_count` events have
the thread's total and mostly the last response's share, may be written again, and may start anew
when a thread is resumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from phasewise_store.facts import Usage

from phasewise_collector.importers.fields import BadRecordError, Record
from phasewise_collector.usage.reader import usage_of

_PARTS = (
    *("input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens"),
    *("reasoning_output_tokens", "total_tokens"),
)
_WHOLE = ("input_tokens", "output_tokens")


@dataclass(slots=True)
class Counts:
    """The thread's total so far, and which responses were counted."""

    total: dict[str, int] = field(default_factory=dict)
    responses: set[str] = field(default_factory=set)
    unnamed: bool = False
    """whether the last call was counted by a total only: its record may follow"""

    def of_record(self, payload: Record) -> tuple[Usage | None, str | None]:
        """Return what a `token_usage_record` adds, and the id of the response.

        The usage is None where the response was counted before; with an id, it is the last one's.
        """
        response_id = payload.get("response_id")
        named = response_id if isinstance(response_id, str) and response_id else None
        if named is not None and named in self.responses:
            return None, None
        if named is not None:
            self.responses.add(named)
        usage, total = _numbers(payload.get("usage")), _numbers(payload.get("thread_token_usage"))
        if total and _sum(total) == _sum(self.total) and self.unnamed:
            self.unnamed = False
            return None, named
        if usage is None:
            usage = _difference(total, self.total) if total else None
        if usage is None:
            raise BadRecordError("`usage` is missing")
        self.total = total or _added(self.total, usage)
        self.unnamed = False
        return usage_of(usage), named

    def of_total(self, payload: Record) -> Usage | None:
        """Return what a `token_count` adds; None where it was counted, or tells of limits only."""
        info = payload.get("info")
        if not isinstance(info, Mapping):
            return None
        total, last = (
            _numbers(info.get("total_token_usage")),
            _numbers(info.get("last_token_usage")),
        )
        if total is None:
            total = None if last is None else _added(self.total, last)
        if total is None or _sum(total) == _sum(self.total):
            return None
        if last is None:
            last = _difference(total, self.total)
        self.total = total
        if not _sum(last):
            return None  # a forked thread's total that it inherited
        self.unnamed = True
        return usage_of(last)


def _numbers(value: object) -> dict[str, int] | None:
    if not isinstance(value, Mapping):
        return None
    found = {}
    for name in _PARTS:
        number = value.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool) and number >= 0:
            found[name] = int(number)
    return found or None


def _sum(counts: Mapping[str, int]) -> int:
    return counts.get("total_tokens") or sum(counts.get(name, 0) for name in _WHOLE)


def _added(total: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: total.get(name, 0) + more.get(name, 0) for name in {*total, *more}}


def _difference(total: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return what came since; a counter that fell has started anew."""
    if any(total.get(name, 0) < before.get(name, 0) for name in _WHOLE):
        return dict(total)
    return {name: max(0, number - before.get(name, 0)) for name, number in total.items()}

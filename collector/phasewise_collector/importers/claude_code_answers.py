"""Which entries of a Claude Code session are one answer.

An answer is written in several entries, one a content block or a snapshot of a stream, that repeat
one `message.id` and its usage: together they are one call. A proxy may give one id to every answer:
other request ids, another input, or a user's words in between show another call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from phasewise_store.facts import Usage

from phasewise_collector.importers.fields import Record, optional_text
from phasewise_collector.usage.reader import usage_of

NO_MODEL = "<synthetic>"
"""what Claude Code writes for answers that it made up itself, such as error texts"""


@dataclass(frozen=True)
class Entry:
    """One message, or a part of one."""

    uuid: str
    parent: str | None
    session: str
    role: str
    message: Record
    at_ns: int
    side: str
    """empty in the main conversation, else which sub-agent"""
    request_id: str | None
    fields: Record
    """all that the line says"""

    @cached_property
    def usage(self) -> Usage:
        """What the entry reports; the last snapshot has the final number of output tokens."""
        said = self.message.get("usage")
        found = usage_of(said) if isinstance(said, Mapping) else None
        return found or Usage(origin="absent", cache_reported=False)


@dataclass(frozen=True)
class Answer:
    """The entries of one answer, in the order of their times."""

    entries: tuple[Entry, ...]

    @property
    def first(self) -> Entry:
        """The entry that comes after what was asked."""
        own = {entry.uuid for entry in self.entries}
        return next((one for one in self.entries if one.parent not in own), self.entries[0])

    @property
    def last(self) -> Entry:
        """The entry that was written last."""
        return self.entries[-1]

    @property
    def fullest(self) -> Entry:
        """The entry with the largest snapshot, the latest of several."""
        return max(self.entries, key=lambda one: (one.usage.output_tokens, one.at_ns))

    @property
    def usage(self) -> Usage | None:
        """What the answer used; None where nothing is reported."""
        found = self.fullest.usage
        return found if found.origin != "absent" else None

    @property
    def message_id(self) -> str | None:
        """The id that the provider gave."""
        return optional_text(self.entries[0].message, "id")

    @property
    def named(self) -> str:
        """The id that the provider gave, else the entry's own."""
        return self.message_id or f"entry-{self.entries[0].uuid}"

    @property
    def request_ids(self) -> tuple[str, ...]:
        """The request's ids; at most one, as far as any entry says it."""
        return tuple({one.request_id: None for one in self.entries if one.request_id})

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended."""
        reasons = [optional_text(one.message, "stop_reason") for one in self.entries]
        return next((one for one in reversed(reasons) if one is not None), None)

    @property
    def cost_usd(self) -> float | None:
        """What the file says it cost."""
        costs = [number for one in self.entries if (number := _number(one, "costUSD")) is not None]
        return max(costs, default=None)

    @property
    def duration_ns(self) -> int | None:
        """What the file says it took."""
        spans = [number for one in self.entries if (number := _number(one, "durationMs"))]
        return round(max(spans) * 1e6) if spans else None

    def content(self) -> list[object]:
        """Return all blocks."""
        blocks: list[object] = []
        for entry in self.entries:
            found = entry.message.get("content")
            blocks += found if isinstance(found, list) else [found]
        return blocks


def answers(entries: Mapping[str, Entry], above: Mapping[str, str | None]) -> list[Answer]:
    """Return the answers of a model, in the order of their start."""
    by_id: dict[str, list[Entry]] = {}
    for entry in entries.values():
        if entry.role == "assistant" and entry.message.get("model") != NO_MODEL:
            by_id.setdefault(optional_text(entry.message, "id") or entry.uuid, []).append(entry)
    found = [
        Answer(tuple(group))
        for parts in by_id.values()
        for group in _groups(sorted(parts, key=lambda one: one.at_ns), entries, above)
    ]
    return sorted(found, key=lambda one: one.entries[0].at_ns)


def _groups(
    parts: Sequence[Entry], entries: Mapping[str, Entry], above: Mapping[str, str | None]
) -> list[list[Entry]]:
    groups: list[list[Entry]] = []
    for part in parts:
        fitting = (group for group in reversed(groups) if _belongs(part, group, entries, above))
        group = next(fitting, None)
        if group is None:
            groups.append([part])
        else:
            group.append(part)
    return groups


def _belongs(
    part: Entry,
    group: Sequence[Entry],
    entries: Mapping[str, Entry],
    above: Mapping[str, str | None],
) -> bool:
    requests = {one.request_id for one in group if one.request_id}
    if part.request_id and requests and part.request_id not in requests:
        return False
    read = {one.usage.input_tokens for one in group if one.usage.input_tokens}
    if part.usage.input_tokens and read and part.usage.input_tokens not in read:
        return False
    if part.request_id and part.request_id in requests:
        return True
    return not _has_words_between(part, {one.uuid for one in group}, entries, above)


def _has_words_between(
    part: Entry,
    group: set[str],
    entries: Mapping[str, Entry],
    above: Mapping[str, str | None],
) -> bool:
    """Return whether a user's own words stand between an entry and those before it."""
    words = False
    seen: set[str] = set()
    uuid = part.parent
    while uuid is not None and uuid not in seen:
        if uuid in group:
            return words
        seen.add(uuid)
        entry = entries.get(uuid)
        if entry is not None and entry.role == "user" and not _is_of_tools(entry):
            words = True
        uuid = above.get(uuid)
    return False


def _is_of_tools(entry: Entry) -> bool:
    content = entry.message.get("content")
    return isinstance(content, list) and all(
        isinstance(block, Mapping) and block.get("type") == "tool_result" for block in content
    )


def _number(entry: Entry, name: str) -> float | None:
    value = entry.fields.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return float(value) if is_number else None  # type: ignore[arg-type]  # it is a number

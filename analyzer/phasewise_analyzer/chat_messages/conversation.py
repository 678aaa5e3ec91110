"""Build the messages in the order and form that chat templates require, one entry after another.

A message depends only on those before it, so a prompt that continues another starts with the same
messages, and a prefix cache hits. Only a last message of the system or the assistant stays open,
since the next entry may belong to the same turn.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import orjson

from phasewise_analyzer.chat_messages.entries import Entry
from phasewise_analyzer.chat_messages.facts import Change
from phasewise_analyzer.chat_messages.items import Call, Item, Result, Text

NO_RESULT = "[no result of this call was recorded]"
"""strict templates refuse a call that nobody answered"""
NOTHING_SAID = "."
"""what a user says where a prompt has no message but the system's: templates want one"""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A call that waits for its result."""

    recorded_id: str | None
    sent_id: str
    name: str


@dataclass(slots=True)
class _Turn:
    """What the system or the assistant says until somebody else speaks."""

    role: str
    texts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    raw: bytes | None = None
    """the only entry, where it can be sent as it is"""
    entries: int = 0


class Conversation:
    """Takes entries and gives messages."""

    def __init__(self, made: dict[bytes, bytes]) -> None:
        """Start empty; `made` keeps one object for equal messages of all prompts."""
        self.changes: Counter[Change] = Counter()
        self._made = made
        self._messages: list[bytes] = []
        self._turn: _Turn | None = None
        self._pending: list[_Pending] = []
        self._used: set[str] = set()
        self._begun = False
        """whether anybody but the system has spoken"""

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self.changes.update(entry.changes)
        role = entry.role
        if role == "system" and self._begun:
            self.changes["late_system"] += 1
            role, entry = "user", replace(entry, sendable=None)
        self._begun = self._begun or role != "system"
        if not any(map(_says_something, entry.items)) and not entry.changes.get("thinking"):
            self.changes["empty"] += 1
        if role in ("system", "assistant"):
            self._add_to_turn(role, entry)
        else:
            self._add_input(entry)

    def messages(self) -> tuple[tuple[bytes, ...], Counter[Change]]:
        """Return the messages so far and what was changed; more may be added later."""
        end = Conversation(self._made)
        end.changes = self.changes.copy()
        end._used = set(self._used)
        end._turn = self._turn
        end._close_turn()
        found = [*self._messages, *end._messages]
        if not self._begun or not found:
            found.append(end._written({"role": "user", "content": NOTHING_SAID}))
        return tuple(found), +end.changes

    def _add_to_turn(self, role: str, entry: Entry) -> None:
        turn = self._turn
        if turn is None or turn.role != role:
            self._close_turn()
            self._answer_pending()
            turn = self._turn = _Turn(role)
        turn.entries += 1
        turn.raw = entry.sendable if turn.entries == 1 else None
        for item in entry.items:
            if isinstance(item, Call) and role == "system":
                turn.texts.append(item.arguments)  # only a model calls tools
            elif isinstance(item, Call):
                turn.calls.append(item)
            elif isinstance(item, Text):
                turn.texts += [item.text] if item.text else []
            else:
                turn = self._add_result_in_turn(turn, item)

    def _add_result_in_turn(self, turn: _Turn, result: Result) -> _Turn:
        """Take a result that stands between the parts of an answer; the answer goes on behind."""
        turn.raw = None
        if not any(result.call_id in (None, call.call_id) for call in turn.calls):
            turn.texts.append(self._stray(result))
            return turn
        self._close_turn()
        call = self._asked(result)
        assert call is not None, "the turn has just asked"
        self._answer(call, result.text, None)
        self._turn = _Turn(turn.role, entries=1)
        return self._turn

    def _add_input(self, entry: Entry) -> None:
        """Take what a user and tools say: results first, right behind the calls they answer."""
        self._close_turn()
        texts: list[str] = []
        answers: list[tuple[_Pending, str, bytes | None]] = []
        for item in entry.items:
            if isinstance(item, Text):
                texts += [item.text] if item.text else []
            elif isinstance(item, Call):
                texts.append(item.arguments)
            elif (call := self._asked(item)) is not None:
                self._pending.remove(call)
                raw = entry.sendable if item.call_id == call.sent_id else None
                answers.append((call, item.text, raw))
            else:
                texts.append(self._stray(item))
        if texts and answers and self._pending:
            # other results are still to come and must follow: the words go with the last one
            call, said, _ = answers.pop()
            answers.append((call, "\n".join([said, *texts]), None))
            texts = []
        for answer in answers:
            self._answer(*answer)
        if texts:
            self._answer_pending()
            raw = entry.sendable if entry.role == "user" else None
            self._messages.append(
                raw or self._written({"role": "user", "content": "\n".join(texts)})
            )

    def _answer(self, call: _Pending, text: str, raw: bytes | None) -> None:
        """Write a result behind its call."""
        if call in self._pending:
            self._pending.remove(call)
        message: dict[str, object] = {"role": "tool", "tool_call_id": call.sent_id, "content": text}
        self._messages.append(raw or self._written(message))

    def _asked(self, result: Result) -> _Pending | None:
        """Find the call of a result: by its id, else by the tool's name, else the first."""
        if result.call_id is not None:
            named = [one for one in self._pending if one.recorded_id == result.call_id]
            # a call that was recorded without an id may be answered by one
            named += [one for one in self._pending if one.recorded_id is None]
            return next(iter(named), None)
        same = [one for one in self._pending if one.name == result.name]
        return next(iter(same or self._pending), None)

    def _stray(self, result: Result) -> str:
        self.changes["stray_results"] += 1
        return "\n".join([f"[result of {result.name or 'a tool'}]", result.text])

    def _answer_pending(self) -> None:
        for call in list(self._pending):
            self.changes["no_result"] += 1
            self._answer(call, NO_RESULT, None)

    def _close_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None or not (turn.texts or turn.calls):
            return
        asked = [self._named(call) for call in turn.calls]
        self._pending += asked
        if turn.raw is not None and all(one.recorded_id == one.sent_id for one in asked):
            self._messages.append(turn.raw)
            return
        message: dict[str, object] = {"role": turn.role, "content": "\n".join(turn.texts)}
        if asked:
            message["tool_calls"] = [
                {
                    "id": named.sent_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for named, call in zip(asked, turn.calls, strict=True)
            ]
        self._messages.append(self._written(message))

    def _named(self, call: Call) -> _Pending:
        """Return a call an id that no other has: its own, else one made of its place."""
        base = call.call_id or f"call_{len(self._used)}"
        sent, again = base, 1
        while sent in self._used:
            again += 1
            sent = f"{base}_{again}"
        self._used.add(sent)
        self.changes["new_ids"] += sent != call.call_id
        return _Pending(call.call_id, sent, call.name)

    def _written(self, message: dict[str, object]) -> bytes:
        self.changes["rewritten"] += 1
        raw = orjson.dumps(message)
        return self._made.setdefault(raw, raw)


def _says_something(item: Item) -> bool:
    return not isinstance(item, Text) or bool(item.text)

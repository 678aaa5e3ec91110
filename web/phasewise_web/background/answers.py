"""Answers as pages see them: what is kept, at once, and how far it is behind.

A `Drawing` makes what is missing or out of date: `AtOnce` while the page waits, for tests and
pages without a database process; `BackgroundProcess` in a process of its own.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar, cast

from phasewise_store import kept_answers
from phasewise_store.kept_answers import Kept, Question
from phasewise_store.store import Store

from phasewise_web.background import questions

MOST_READ = 12
"""answers that stay in memory as they were read: those that pages looked at last"""

Answer = TypeVar("Answer")


class Drawing(Protocol):
    """Makes answers."""

    def ask(self, question: Question) -> Kept | None:
        """Have an answer made; give it where it is there at once."""
        ...


class AtOnce:
    """Makes an answer while the page waits."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, question: Question) -> Kept:
        """Make an answer and give it."""
        return questions.make(self._store, question)


@dataclass(frozen=True, slots=True)
class Look(Generic[Answer]):
    """What a page can show of an answer now."""

    answer: Answer | None
    """None where nothing is kept yet"""
    progress: "Progress"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an answer is behind the calls."""

    made_at: datetime | None
    """UTC; None where nothing is kept yet"""
    calls_then: int
    """that were in scope when it was made"""
    calls: int
    """in scope now"""
    is_current: bool


NOTHING = Progress(None, 0, 0, True)
"""where no call is in scope"""


class Answers:
    """The answers about one store; safe to ask from several threads."""

    def __init__(self, store: Store, drawing: Drawing | None = None) -> None:
        self._store = store
        self._drawing = drawing or AtOnce(store)
        self._lock = threading.Lock()
        self._read: OrderedDict[tuple[Question, datetime], object] = OrderedDict()

    def look(self, question: Question, read: Callable[[bytes], Answer]) -> Look[Answer]:
        """Return the answer that is kept; where it is missing or out of date, have it made."""
        now = kept_answers.facts(self._store, question.scope)
        if not now.calls:
            return Look(None, NOTHING)
        kept = kept_answers.stamp(self._store, question)
        if kept is None or kept.facts != now:
            made = self._drawing.ask(question)
            if made is not None:
                return Look(read(made.answer), Progress(made.made_at, now.calls, now.calls, True))
        if kept is None:
            return Look(None, Progress(None, 0, now.calls, False))
        progress = Progress(kept.made_at, kept.facts.calls, now.calls, kept.facts == now)
        return Look(self._answer(question, kept.made_at, read), progress)

    def _answer(
        self, question: Question, made_at: datetime, read: Callable[[bytes], Answer]
    ) -> Answer | None:
        key = question, made_at
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return cast("Answer", self._read[key])
        kept = kept_answers.get(self._store, question)
        if kept is None:
            return None
        answer = read(kept.answer)
        with self._lock:
            self._read[question, kept.made_at] = answer
            while len(self._read) > MOST_READ:
                self._read.popitem(last=False)
        return answer

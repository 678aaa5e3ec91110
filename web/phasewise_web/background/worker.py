"""The process beside the owner of the database that makes what takes long, at the lowest priority.

It compares the prompts of new calls (`prefixes/kept_reuse`), draws the flame graph of each data set
and the structure of its largest agents, and answers what pages ask for, one question per line of
its standard input. It reads and writes through the owner, so whatever ends it loses nothing:
`python -m phasewise_web.background.worker --db PATH`.
"""

import argparse
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from phasewise_analyzer import rollups
from phasewise_analyzer.prefixes import kept_reuse
from phasewise_analyzer.prefixes.growing_reuse import GrowingReuse
from phasewise_store import kept_answers, reuse_rows
from phasewise_store.errors import PhasewiseError
from phasewise_store.facts import LIVE
from phasewise_store.kept_answers import Facts, Kept, Question
from phasewise_store.scope import EVERYTHING, Scope
from phasewise_store.store import Store

from phasewise_web.background import questions
from phasewise_web.background.questions import FLAME, STRUCTURE

POLL_S = 1.0
GROWN_SHARE = 0.1
"""of the calls of an answer: it is made again at once when so many came"""
REST = 20
"""times as long as an answer took to make it is left alone otherwise"""
MOST_AGENTS = 3
"""of a data set, whose structure is laid out before anybody asks"""
NICENESS = 15
RETRY_S = 600.0
"""after which an answer that could not be made is tried again"""
_log = logging.getLogger(__name__)


class Worker:
    """Makes what is missing or out of date."""

    def __init__(
        self, store: Store, asked: "queue.SimpleQueue[Question]", *, rest: float = REST
    ) -> None:
        self._store = store
        self._rest = rest
        self._asked = asked
        self._failed: dict[Question, float] = {}
        """when an answer could not be made"""
        self._growing: GrowingReuse | None = None
        """the prompts of the live calls"""
        self._compared: dict[str, tuple[float, float]] = {}
        """by data set: when its prompts were compared anew, and how long that took"""

    def turn(self) -> None:
        """Do one thing that is due, what pages ask for first; wait a moment where nothing is."""
        try:
            question = self._asked.get(timeout=POLL_S)
        except queue.Empty:
            self._compare()
            for due in self._due():
                self._make(due)
                if not self._asked.empty():
                    return
            return
        if self._is_due(question):
            self._make(question)

    def _compare(self) -> None:
        """Make the rows of reuse that are missing; where all are to be made, after a rest."""
        for source in reuse_rows.behind(self._store):
            if source == LIVE and self._growing is not None and self._growing.grow():
                continue
            ended_s, took_s = self._compared.get(source, (-float("inf"), 0.0))
            if time.monotonic() - ended_s < self._rest * took_s:
                continue
            began_s = time.monotonic()
            if source == LIVE:
                self._growing = GrowingReuse(self._store, LIVE)
                self._growing.grow()
            else:
                kept_reuse.compare(self._store, source)
            self._compared[source] = time.monotonic(), time.monotonic() - began_s
        reuse_rows.settle(self._store)

    def _due(self) -> Iterator[Question]:
        for source in reuse_rows.sources(self._store, EVERYTHING):
            scope = Scope(source=source)
            names = rollups.roles(self._store, scope)[:MOST_AGENTS]
            wanted = [
                Question(FLAME, scope),
                *(Question(STRUCTURE, Scope(source=source, agent=name)) for name in names),
            ]
            yield from filter(self._is_due, wanted)

    def _is_due(self, question: Question) -> bool:
        if time.monotonic() - self._failed.get(question, -float("inf")) < RETRY_S:
            return False
        kept = kept_answers.stamp(self._store, question)
        now = kept_answers.facts(self._store, question.scope)
        return bool(now.calls) and (kept is None or is_due(kept, now, datetime.now(UTC)))

    def _make(self, question: Question) -> None:
        """Make and keep an answer; one that cannot be made does not keep others from being made."""
        try:
            made = questions.make(self._store, question)
        except PhasewiseError:
            raise  # the owner is gone
        except Exception:
            _log.exception("%s of %s could not be made", question.name, question.key)
            self._failed[question] = time.monotonic()
            return
        kept_answers.put(self._store, question, made)


def is_due(kept: Kept, facts: Facts, now: datetime) -> bool:
    """Say whether an answer is to be made again: when it grew, or after a rest when it changed."""
    if kept.facts == facts:
        return False
    grown = abs(facts.calls - kept.facts.calls) >= GROWN_SHARE * kept.facts.calls
    return grown or (now - kept.made_at).total_seconds() >= REST * kept.took_s


def _listen(asked: "queue.SimpleQueue[Question]") -> None:
    """Take in questions; end the process when the owner is gone."""
    for line in sys.stdin:
        asked.put(questions.read(line))
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Run until the owner ends."""
    parser = argparse.ArgumentParser(
        description="Compute slow answers in a process beside the pages."
    )
    parser.add_argument("--db", type=Path, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, which ends this
    os.nice(NICENESS)
    asked: queue.SimpleQueue[Question] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), name="listen", daemon=True).start()
    try:
        with Store.open(arguments.db) as store:
            worker = Worker(store, asked)
            while True:
                worker.turn()
    except PhasewiseError as error:
        sys.stderr.write(f"phasewise: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

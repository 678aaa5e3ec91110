"""The sessions that a replay sends: steps in order, with the waits between and the outputs.

`sessions` reads them from the store, `gpu.pack_file` from a file.
"""

from dataclasses import dataclass

from phasewise_store.facts import Segment

from phasewise_replay.sessions.selection import Selection


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One call of a session."""

    call_id: str
    step: int
    prompt: tuple[Segment, ...]
    output_tokens: int
    """as recorded, at least one"""
    wait_ns: int
    """from the end of what it waited for to its own start: tools, thinking, people"""
    after: tuple[str, ...] | None = None
    """calls that must have ended (`session_graph`); None is the one before it"""
    warm: bool = False
    """it fills the cache before the session begins (`warm_start`), and is not measured"""
    output: tuple[Segment, ...] = ()
    """the answer, where the plan forces its tokens and it was captured"""


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A session's calls, each after those that it waits for."""

    session_id: str
    steps: tuple[RecordedStep, ...]
    provider: str | None = None
    """of its first call"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The sessions that were chosen."""

    sessions: tuple[RecordedSession, ...]
    calls_without_prompt: int
    """calls left out because the source has no prompt for them"""
    selections: tuple[Selection, ...] = ()
    """how they were chosen; several where a pack joins several choices"""

    @property
    def calls(self) -> int:
        """Calls in all sessions."""
        return sum(len(session.steps) for session in self.sessions)

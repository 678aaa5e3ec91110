"""Which answer each call followed: of those that it waited for, the one that ended last.

Kept with every measured call, so that a verdict finds the critical path of a session.
"""

from collections.abc import Sequence

from phasewise_replay.driving.due import Due
from phasewise_replay.engine import Answer


class Order:
    """Follows the answers of one block."""

    def __init__(self, sessions: Sequence[Sequence[Due]]) -> None:
        self._after = {
            due.request.call_id: [session[place].request.call_id for place in due.after]
            for session in sessions
            for due in session
        }
        self._ended_ns: dict[str, int] = {}

    def answered(self, call_id: str, answer: Answer) -> str | None:
        """Note an answer, and return the call that it followed; None at a session's start."""
        self._ended_ns[call_id] = answer.sent_ns + answer.duration_ns
        return max(self._after[call_id], key=lambda one: self._ended_ns[one], default=None)

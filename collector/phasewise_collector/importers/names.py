"""Create the names under which a file's sessions and calls are stored.

A session keeps the name from its file. Two files may both contain `trace_0010`, so the start of the
file's hash follows; a format with globally unique ids needs none. Names appear in URLs and on
command lines, so they are plain ASCII.
"""

import re

_SOURCE_DIGITS = 8
_MAX_LETTERS = 64
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


class SessionNames:
    """Gives each session of one file a name of its own."""

    def __init__(self, source_id: str) -> None:
        self._suffix = source_id[:_SOURCE_DIGITS]
        self._taken: dict[str, int] = {}

    def new(self, recorded: str) -> str:
        """Name a session that is not one named before, even if it is recorded under that name."""
        plain = everywhere(recorded)
        again = self._taken.get(plain, 0) + 1
        self._taken[plain] = again
        return f"{plain}-{self._suffix}" if again == 1 else f"{plain}-{self._suffix}-{again}"


def everywhere(recorded: str) -> str:
    """Name a session whose recorded id is the same in every file and at every door."""
    return _UNFIT.sub("_", recorded)[:_MAX_LETTERS].strip("_") or "session"


def call_id(session_id: str, step: int) -> str:
    """Name an LLM call by its place in its session."""
    return f"{session_id}.{step}"


def call_of(session_id: str, recorded: str) -> str:
    """Name an LLM call by the id of its answer."""
    return f"{session_id}.{_UNFIT.sub('_', recorded)[:_MAX_LETTERS]}"


def tool_call_id(call_id: str, place: int) -> str:
    """Name a tool call by the LLM call that asked for it and its place among those asked for."""
    return f"{call_id}.{place}"


def agent_id(session_id: str, role: str) -> str:
    """Name a running agent by its role; a role that runs several times says which."""
    return f"{session_id}/{role}"

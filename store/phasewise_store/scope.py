"""What part of the store a question is about; commands and pages build one from their arguments."""

from collections.abc import Mapping
from dataclasses import dataclass

_OF_CELLS = {
    "source": "c.source = $source",
    "session_id": "c.session_id = $session_id",
    "agent": "c.agent = $agent",
    "model": "c.model = $model",
    "user": "c.user_id = $user",
    "customer": "c.customer = $customer",
    "version": "c.version = $version",
    "tag": "list_contains(c.tags, $tag)",
}
_OF_CALLS = _OF_CELLS | {"source": "s.name = $source", "agent": "a.name = $agent"}


@dataclass(frozen=True, slots=True)
class Scope:
    """A filter over LLM calls; a field that is None does not filter."""

    source: str | None = None
    """name of the data set, e.g. `mooncake` or `live`"""
    session_id: str | None = None
    agent: str | None = None
    """name of the role"""
    model: str | None = None
    user: str | None = None
    customer: str | None = None
    version: str | None = None
    """of the agent program"""
    tag: str | None = None

    def condition(self) -> tuple[str, dict[str, object]]:
        """Return the SQL condition (over sources s, agents a, llm_calls c) and its parameters."""
        return self._where(_OF_CALLS)

    def of_cells(self) -> tuple[str, dict[str, object]]:
        """Return the SQL condition over cells c and its parameters."""
        return self._where(_OF_CELLS)

    def _where(self, clauses: Mapping[str, str]) -> tuple[str, dict[str, object]]:
        wanted = {name: getattr(self, name) for name in clauses if getattr(self, name) is not None}
        return " AND ".join(clauses[name] for name in wanted) or "TRUE", wanted


EVERYTHING = Scope()

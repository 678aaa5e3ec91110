"""What part of the store a question is about; commands and pages build one from their arguments."""

from dataclasses import dataclass


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
        """Give the SQL condition (over sources s, agents a, llm_calls c) and its parameters."""
        terms = {
            "source": ("s.name = $source", self.source),
            "session_id": ("c.session_id = $session_id", self.session_id),
            "agent": ("a.name = $agent", self.agent),
            "model": ("c.model = $model", self.model),
            "user": ("c.user_id = $user", self.user),
            "customer": ("c.customer = $customer", self.customer),
            "version": ("c.version = $version", self.version),
            "tag": ("list_contains(c.tags, $tag)", self.tag),
        }
        wanted = {name: value for name, (_, value) in terms.items() if value is not None}
        clauses = [terms[name][0] for name in wanted]
        return " AND ".join(clauses) or "TRUE", dict(wanted)


EVERYTHING = Scope()

"""How many of the stored calls the sums on pages hold: the rest waits for its analysis."""

from dataclasses import dataclass

from phasewise_store.store import Store

_COUNTS = """
SELECT
    (SELECT count(*) FROM llm_calls),
    (SELECT coalesce(sum(analysed_calls), 0)::BIGINT FROM cells)
"""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Calls in the whole store."""

    calls: int
    analysed_calls: int

    @property
    def is_complete(self) -> bool:
        """Return whether no call waits."""
        return self.analysed_calls >= self.calls


def coverage(store: Store) -> Coverage:
    """Count the calls and those that are analysed; no call is read for it."""
    return Coverage(*store.frame(_COUNTS).row(0))

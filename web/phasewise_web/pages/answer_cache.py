"""Keep the last few answers to slow questions, so that two tabs with the same data compute once.

An answer is valid while `version` stays the same: it is cheap to compute, and changes as soon as a
call in scope or its price changes.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from phasewise_store.scope import Scope
from phasewise_store.store import Store

MOST_ANSWERS = 6
"""the ones asked for last"""

Answer = TypeVar("Answer")

_VERSION = """
SELECT
    count(*),
    max(c.ordinal),
    sum(hash(
        c.call_id, c.leaf_node, c.provider, c.model, c.started_ns, c.cache_reported,
        c.cache_read_tokens, c.cache_write_5m_tokens, c.cache_write_1h_tokens, c.uncached_tokens,
        c.request, k.prefill_usd
    ))::VARCHAR
FROM llm_calls c
JOIN sources s USING (source_id)
LEFT JOIN agents a USING (agent_id)
LEFT JOIN call_costs k USING (call_id)
"""


def version(store: Store, scope: Scope) -> Hashable:
    """Give what differs as soon as the calls in scope do; one scan of two tables."""
    condition, parameters = scope.condition()
    return store.frame(f"{_VERSION} WHERE {condition}", parameters).row(0)


@dataclass(slots=True)
class _Entry(Generic[Answer]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Answer | None = None


class Kept(Generic[Answer]):
    """The answers to one question about one store; safe to ask from several threads."""

    def __init__(self, store: Store, ask: Callable[[Scope], Answer]) -> None:
        self._store = store
        self._ask = ask
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry[Answer]] = OrderedDict()

    def of(self, scope: Scope) -> Answer:
        """Give the answer for a scope; who asks while it is being made waits for it."""
        key = scope, version(self._store, scope)
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > MOST_ANSWERS:
                self._entries.popitem(last=False)
        with entry.lock:
            if entry.answer is None:
                entry.answer = self._ask(scope)
            return entry.answer

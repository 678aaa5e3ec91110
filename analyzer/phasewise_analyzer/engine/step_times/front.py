"""The server in front of an engine: HTTP, tokenizer, queues between processes.

One process takes requests one after another, so that a burst waits for it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Front:
    """What a request spends there."""

    latency_s: float = 0.0
    """from sending until the engine has it, where nobody else is there"""
    busy_s: float = 0.0
    """the part in which the process can take no other request"""
    token_s: float = 0.0
    """what a prompt token adds to both: prompts are read, checked and hashed"""


NO_FRONT = Front()
"""requests reach the engine at once"""


class FrontQueue:
    """Requests pass in the order in which they are sent."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._free_s = self._passed_s = 0.0

    def passed_s(self, sent_s: float, tokens: int) -> float:
        """Return when the engine has a request that is sent now, with so many prompt tokens."""
        start_s = max(sent_s, self._free_s)
        front = self._front
        more_s = front.token_s * tokens
        self._free_s = start_s + front.busy_s + more_s
        self._passed_s = max(self._passed_s, start_s + front.latency_s + more_s)
        return self._passed_s

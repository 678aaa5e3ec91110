"""The family that keeps whole prompts in blocks and reads the longest prefix that is still there.

read = the longest prefix kept, rounded down to whole blocks; nothing where it is below the minimum.
Where writes are charged, all whole blocks that were not read are written, at the default lifetime.
Engines keep what a model answers too: a prompt that sends it again reads it.
"""

from collections.abc import Mapping

from phasewise_analyzer.caches.bounded_prefixes import BoundedPrefixes
from phasewise_analyzer.caches.lookup import Found, Prefixes, keep_answers
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Reason, Served
from phasewise_analyzer.caches.sent_prefixes import Sent, scopes
from phasewise_analyzer.caches.timed_prefixes import TimedPrefixes
from phasewise_analyzer.prefixes.live_tree import Fork


def store(policy: Policy) -> Prefixes:
    """Make the store that a policy needs: with a limit of size or without."""
    if policy.capacity_tokens is None:
        return TimedPrefixes(policy)
    return BoundedPrefixes(policy, policy.capacity_tokens)


class BlockPrefix:
    """Serves prompts out of blocks."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sent = Sent()
        self._prefixes = store(policy)

    def serve(self, call: Asked) -> Served:
        """Answer one call, and keep its prompt."""
        names = scopes(call, self._policy)
        sent = self._sent.places(call)
        found = self._prefixes.look(call, names)
        read = self._read(call, found)
        self._sent.keep(call, sent)
        self._prefixes.keep(call, names, found)
        keep_answers(self._prefixes, self._policy, call, names)
        return Served(read, self._written(call, read), self._reason(call, sent, found, read))

    def fork(self, fork: Fork) -> None:
        """Take note of a place that stands before a known one, where prompts now part."""
        self._sent.fork(fork)
        self._prefixes.fork(fork)

    def answered(self, answer: Fork) -> None:
        """Take note that a new place is the answer that was kept as another one."""
        self._prefixes.fork(answer)

    def _read(self, call: Asked, found: Found) -> int:
        if found.tokens < self._policy.min_tokens:
            return 0
        most = call.tokens - self._policy.leave_a_token
        return self._whole(max(0, min(found.tokens, most)))

    def _written(self, call: Asked, read: int) -> Mapping[str, int]:
        if not self._policy.writes_charged or not call.path:
            return {}
        kept = self._whole(min(call.ends[-1], call.tokens))
        if kept <= read or kept < self._policy.min_tokens:
            return {}
        return {self._policy.lifetime_name(): kept - read}

    def _whole(self, tokens: int) -> int:
        return tokens - tokens % self._policy.granularity_tokens

    def _reason(self, call: Asked, sent: int, found: Found, read: int) -> Reason:
        before = min(call.ends[sent - 1], call.tokens) if sent else 0
        if read >= before:
            return "nothing missed"
        if before < self._policy.min_tokens:
            return "minimum"
        return found.why if found.places < sent else "granularity"

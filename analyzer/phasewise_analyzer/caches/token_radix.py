"""The family that keeps whole prompts in a tree of tokens and reads to the token, or to the page.

read = the longest prefix kept, rounded down to whole pages; a page of 1 is exact.
With a capacity the least recently used tokens are dropped, leaves first, and no more of them than
needed; an engine that drops whole leaves may drop somewhat more.
"""

from phasewise_analyzer.caches.block_prefix import store
from phasewise_analyzer.caches.lookup import keep_answers
from phasewise_analyzer.caches.policy import Policy
from phasewise_analyzer.caches.prompt_cache import Asked, Reason, Served
from phasewise_analyzer.caches.sent_prefixes import Sent, scopes
from phasewise_analyzer.prefixes.live_tree import Fork


class TokenRadix:
    """Serves prompts out of a tree."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sent = Sent()
        self._tree = store(policy)

    def serve(self, call: Asked) -> Served:
        """Answer one call, and keep its prompt."""
        names = scopes(call, self._policy)
        sent = self._sent.places(call)
        found = self._tree.look(call, names)
        self._sent.keep(call, sent)
        self._tree.keep(call, names, found)
        keep_answers(self._tree, self._policy, call, names)
        most = max(0, min(found.tokens, call.tokens - self._policy.leave_a_token))
        read = most - most % self._policy.granularity_tokens
        before = min(call.ends[sent - 1], call.tokens) if sent else 0
        reason: Reason = "nothing missed"
        if read < before:
            reason = found.why if found.places < sent else "granularity"
        return Served(read, reason=reason)

    def fork(self, fork: Fork) -> None:
        """Take note of a place that stands before a known one, where prompts now part."""
        self._sent.fork(fork)
        self._tree.fork(fork)

    def answered(self, answer: Fork) -> None:
        """Take note that a new place is the answer that was kept as another one."""
        self._tree.fork(answer)

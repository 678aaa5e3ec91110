"""Compares what calls answered with the tokens that they were forced to generate."""

from phasewise_replay.client.answer_tokens import shared_tokens
from phasewise_replay.engine import Answer, Request


class OtherTokens:
    """Counts the calls of a block that answered other tokens; calls that failed do not count."""

    def __init__(self) -> None:
        self.calls = 0
        self.first: str | None = None
        """which call was the first, and where it differs"""

    def answered(self, request: Request, answer: Answer) -> None:
        """Compare an answer."""
        forced, found = request.forced_ids, answer.output_token_ids
        if forced is None or answer.error is not None:
            return
        if found is None:
            self._add(f"`{request.call_id}`, which reports no tokens")
            return
        shared = shared_tokens(forced, found)
        if shared < max(len(forced), len(found)):
            ours = forced[shared] if shared < len(forced) else "the end"
            theirs = found[shared] if shared < len(found) else "the end"
            self._add(f"`{request.call_id}` at token {shared:,}: {theirs} instead of {ours}")

    def _add(self, text: str) -> None:
        self.calls += 1
        self.first = self.first or text

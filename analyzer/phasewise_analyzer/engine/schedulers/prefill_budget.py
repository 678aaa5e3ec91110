"""What one prefill step of SGLang may still admit.

Rules (SGLang 0.5.23, srt/managers/schedule_policy, PrefillAdder; srt/mem_cache/prefill_budget):
- a step reads at most `chunked-prefill-size` tokens, in whole pages, and stops admitting after
  `max-prefill-tokens`;
- of the KV cache, what running requests may still generate is reserved, times the new-token ratio
  where they may end earlier, and at most 4,096 tokens each; an admitted request takes its prompt,
  all of its output, and a page;
- a prompt that is read in part takes nothing for its output yet;
- without a prefix cache, forced requests are followed to their ends: at each end the rest must fit.
"""

from collections.abc import Sequence as Sequences

from phasewise_analyzer.engine.schedulers.kv_tokens import KvTokens
from phasewise_analyzer.engine.schedulers.sequence import Sequence

MOST_OUTPUT = 4096
"""tokens of output that are reserved at most (SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION)"""


class PrefillBudget:
    """The budgets of one step, in tokens."""

    def __init__(
        self,
        pool: KvTokens,
        running: Sequences[Sequence],
        *,
        ratio: float,
        step_tokens: int,
        chunk_tokens: int | None,
    ) -> None:
        self.chunk_tokens = chunk_tokens
        """left of the chunk; None is no limit"""
        self.step_tokens = step_tokens
        self._pool = pool
        self._running = running
        self._ratio = ratio
        self._promised = sum(
            self._expected(one) * (1.0 if one.request.forced else ratio) for one in running
        )
        self._taken = 0
        self._admitted: list[Sequence] = []

    @property
    def left(self) -> float:
        """Tokens of the KV cache that are neither used nor reserved."""
        return self._pool.room - self._promised

    @property
    def spent(self) -> bool:
        """Whether the step reads no further prompt."""
        return self.step_tokens <= 0 or (self.chunk_tokens is not None and self.chunk_tokens <= 0)

    @property
    def exhausted(self) -> bool:
        """Whether the KV cache takes no further prompt."""
        return self.left <= 0

    def next_chunk(self) -> int:
        """Return how far a prompt that was read in part may go on; it goes on in any case."""
        assert self.chunk_tokens is not None
        most = int(min(self.chunk_tokens, self.left))
        return most if most > 0 else self.chunk_tokens

    def fits(self, sequence: Sequence, cached: int) -> bool:
        """Tell whether a sequence whose cached start is locked finds its KV cache."""
        new = sequence.total - cached
        if self._follows(sequence):
            return self._fits_to_its_end(sequence, new)
        return new + self._expected(sequence) + self._pool.page < self.left

    def chunk(self, sequence: Sequence, cached: int) -> int:
        """Return how many tokens of a sequence that fits are read; 0 where it has to wait."""
        new, size = sequence.total - cached, self._pool.page
        if self._follows(sequence):
            return new if self.chunk_tokens is None else min(new, self.chunk_tokens)
        pages = self._pool.pages(new) * size
        if self.chunk_tokens is None:
            return 0 if self._admitted and pages >= self.step_tokens else new
        if pages <= self.chunk_tokens:
            return new
        end = (cached + self.chunk_tokens // size * size) // size * size
        return max(0, end - cached)

    def take(self, sequence: Sequence, new: int, *, whole: bool) -> None:
        """Admit so many tokens of a sequence, `whole` where its prompt ends with them."""
        pages = self._pool.pages(new) * self._pool.page
        output = min(self._pool.allowed(sequence), MOST_OUTPUT) if whole else 0
        self._taken += pages + self._pool.page
        self._promised += pages + self._pool.page + output
        self.step_tokens -= pages
        if self.chunk_tokens is not None:
            self.chunk_tokens -= pages
        self._admitted.append(sequence)

    def _expected(self, sequence: Sequence) -> int:
        """Return the output that a sequence may still generate, as far as it is reserved."""
        return min(max(self._pool.allowed(sequence) - sequence.emitted, 0), MOST_OUTPUT)

    def _follows(self, sequence: Sequence) -> bool:
        """Tell whether it is known when a sequence ends, and that it gives its pages back then."""
        return sequence.request.forced and not self._pool.caching

    def _fits_to_its_end(self, sequence: Sequence, new: int) -> bool:
        """Follow all sequences to their ends, the shortest first."""
        now = self._pool.room - self._taken
        needed = self._pool.pages(new) * self._pool.page + self._pool.page
        if needed > min(now, self.left):
            return False
        ends = []
        for one in [sequence, *self._running, *self._admitted]:
            ratio = 1.0 if one.request.forced else self._ratio
            left = self._pool.allowed(one) * ratio - one.emitted
            if left > 0:
                ends.append((left, one.request.input_tokens + one.emitted))
        freed = 0
        for at, (left, held) in enumerate(sorted(ends, key=lambda end: end[0])):
            others = len(ends) - at
            if now - needed + freed - left * others <= others:  # one token each is kept free
                return False
            freed += held
        return True

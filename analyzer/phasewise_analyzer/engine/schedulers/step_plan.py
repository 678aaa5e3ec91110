"""A step while it is planned, one sequence after another."""

from phasewise_analyzer.engine.schedulers.scheduler import Scheduled
from phasewise_analyzer.engine.schedulers.sequence import Sequence
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk


class StepPlan:
    """What a step will compute, and the tokens that are left of its budget."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._chunks: list[Chunk] = []
        self._reading: list[Sequence] = []
        self._emitting: list[tuple[Sequence, int]] = []
        self._decoding: list[tuple[Sequence, int]] = []
        self._context = self._longest = self._drafts = self._completed = 0
        self._verified: list[tuple[int, int]] = []

    def read(self, sequence: Sequence, tokens: int) -> None:
        """Read so many tokens of a prompt, behind those that are computed."""
        self._chunks.append(Chunk(tokens, sequence.computed))
        self._reading.append(sequence)
        self.budget -= tokens

    def decode(self, sequence: Sequence, drafted: int) -> None:
        """Decode one token, and verify so many draft tokens."""
        context = sequence.computed + 1 + drafted
        self._decoding.append((sequence, context))
        self._verified.append((drafted, 0))
        self._context += context
        self._longest = max(self._longest, context)
        self._drafts += drafted
        self.budget -= 1 + drafted

    def emit(self, sequence: Sequence, *, ends_prompt: bool) -> None:
        """Note that a sequence generates a token, which may be the first after its prompt."""
        self._emitting.append((sequence, sequence.epoch))
        self._completed += sequence.computed if ends_prompt else 0

    def verify(self, drafted: int, accepted: int) -> None:
        """Note how many draft tokens of the last sequence that decodes are accepted."""
        self._verified[-1] = (drafted, accepted)

    def scheduled(self, *, steady: bool) -> Scheduled | None:
        """Return the step; None where there is nothing to compute."""
        if not self._chunks and not self._decoding:
            return None
        return Scheduled(
            Batch(
                tuple(self._chunks),
                len(self._decoding),
                self._context,
                self._longest,
                drafts=self._drafts,
                completed=self._completed,
            ),
            tuple(self._emitting),
            tuple(self._reading),
            tuple(self._decoding),
            steady and not self._chunks and not self._drafts,
            tuple(self._verified) if self._drafts else (),
        )

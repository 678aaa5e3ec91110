"""Turn lists of block ids into prompts, for traces that carry hashes and no text."""

from typing import cast

from phasewise_store.facts import Segment
from phasewise_store.segments import block_segment

from phasewise_collector.importers.fields import BadRecordError

_ID_BITS = 63


class HashedPrompts(dict[int, Segment]):
    """The blocks of one file by their id; each is made once and the same object is reused.

    Ids are compared inside one file only: no format here says that they mean anything outside it.
    """

    def __init__(self, source_id: str, block_tokens: int) -> None:
        super().__init__()
        self._scope = bytes.fromhex(source_id)
        self.block_tokens = block_tokens

    def __missing__(self, block_id: int) -> Segment:
        """Make the segment of a full block that is seen for the first time."""
        return self._make(block_id, self.block_tokens)

    def prompt(self, ids: list[object], input_tokens: int) -> tuple[Segment, ...]:
        """Give the prompt; the last block may be partial, or a partial one may be left out.

        Raises BadRecordError where the ids do not fit the number of tokens.
        """
        if not set(map(type, ids)) <= {int}:
            raise BadRecordError("`hash_ids` holds something that is not a whole number")
        full, rest = divmod(input_tokens, self.block_tokens)
        if len(ids) not in {full, full + (rest > 0)}:
            raise BadRecordError(
                f"`hash_ids` has {len(ids)} blocks of {self.block_tokens} tokens "
                f"for {input_tokens} tokens"
            )
        numbers = cast("list[int]", ids)
        if len(numbers) == full:
            return self._blocks(numbers)
        head = self._blocks(numbers[:-1])
        last = numbers[-1]
        return (*head, self[last] if last in self else self._make(last, rest))

    def _blocks(self, ids: list[int]) -> tuple[Segment, ...]:
        return tuple(map(self.__getitem__, ids))

    def _make(self, block_id: int, tokens: int) -> Segment:
        if not -(2**_ID_BITS) <= block_id < 2**_ID_BITS:
            raise BadRecordError("`hash_ids` holds a number of more than 64 bits")
        self[block_id] = made = block_segment(self._scope, block_id, tokens)
        return made

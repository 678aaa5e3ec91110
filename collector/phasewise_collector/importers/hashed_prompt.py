"""Turn lists of block ids into prompts, for traces that carry hashes and no text."""

from typing import cast

from phasewise_store.facts import Segment
from phasewise_store.segments import block_segment

from phasewise_collector.importers.fields import BadRecordError

_ID_BITS = 63


class HashedPrompts(dict[tuple[int, int], Segment]):
    """The blocks of one file by id and tokens; each is made once and the same object is reused.

    Ids are compared inside one file only: no format here says that they mean anything outside it.
    A partial block is not the full block of the same id: a prompt that has the full one reads
    tokens that the partial one did not hold, and no engine caches a block before it is full.
    """

    def __init__(self, source_id: str, block_tokens: int) -> None:
        super().__init__()
        self._scope = bytes.fromhex(source_id)
        self.block_tokens = block_tokens

    def __missing__(self, block: tuple[int, int]) -> Segment:
        """Make the segment of a block that is seen for the first time."""
        block_id, tokens = block
        if not -(2**_ID_BITS) <= block_id < 2**_ID_BITS:
            raise BadRecordError("`hash_ids` contains a number of more than 64 bits")
        scope = self._scope if tokens == self.block_tokens else self._scope + b"%d" % tokens
        self[block] = made = block_segment(scope, block_id, tokens)
        return made

    def prompt(self, ids: list[object], input_tokens: int) -> tuple[Segment, ...]:
        """Return the prompt; the last block may be partial, or a partial one may be left out.

        Raises BadRecordError where the ids do not fit the number of tokens.
        """
        if not set(map(type, ids)) <= {int}:
            raise BadRecordError("`hash_ids` contains a value that is not a whole number")
        full, rest = divmod(input_tokens, self.block_tokens)
        if len(ids) not in {full, full + (rest > 0)}:
            raise BadRecordError(
                f"`hash_ids` has {len(ids)} blocks of {self.block_tokens} tokens "
                f"for {input_tokens} tokens"
            )
        sizes = [self.block_tokens] * full + [rest]
        return tuple(map(self.__getitem__, zip(cast("list[int]", ids), sizes, strict=False)))

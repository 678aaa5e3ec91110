"""N-gram speculation (prompt lookup): drafts what followed an earlier copy of the last tokens.

Rule (vLLM 0.32, v1/spec_decode/ngram_proposer.py): of the suffixes of the known tokens that are
`prompt_lookup_min` to `prompt_lookup_max` long, the longest that occurs earlier counts, and of its
copies, which may overlap it, the first. What follows that copy is drafted: up to
`num_speculative_tokens`, and at most up to the end of the known tokens.
"""

import numpy as np
import numpy.typing as npt

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.schedulers.drafts import Counts, Drafts
from phasewise_analyzer.engine.speculation.config import NgramConfig

Hashes = npt.NDArray[np.uint64]
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""odd, from the golden ratio; `_mixed` takes the others from SplitMix64"""


def ngram_drafts(prompt: TokenIds, output: TokenIds, config: NgramConfig) -> Drafts:
    """Return the drafts at each place of a captured output."""
    return NgramLookup(prompt, output, range(config.shortest, config.longest + 1)).drafts(config)


class NgramLookup:
    """The first earlier copies of a call's last tokens, for suffixes of several lengths."""

    def __init__(self, prompt: TokenIds, output: TokenIds, lengths: range) -> None:
        """Look them up; settings within these lengths then cost next to nothing."""
        self._tokens = tokens = np.concatenate((prompt, output))
        self._known = np.arange(len(prompt) + 1, len(tokens), dtype=np.int64)
        self._output_tokens = len(output)
        self._ends: dict[int, Counts] = {}
        """by length: where the first copy ends at each place; -1 for none"""
        hashes = mixed = _mixed(tokens)
        for length in range(1, min(lengths.stop, len(tokens))):
            if length > 1:
                hashes = hashes[:-1] * MULTIPLIER + mixed[length - 1 :]
            if length in lengths:
                self._ends[length] = _end_of_first_copy(hashes, self._known, length)

    def drafts(self, config: NgramConfig) -> Drafts:
        """Return the drafts at each place of the output."""
        tokens, known = self._tokens, self._known
        begin = np.full(len(known), -1, dtype=np.int64)
        for length in range(config.shortest, config.longest + 1):
            end = self._ends.get(length)
            if end is not None:
                begin = np.where(end >= 0, end, begin)
        drafted = np.where(begin < 0, 0, np.minimum(config.tokens, known - begin))
        accepted = np.zeros(len(known), dtype=np.int64)
        going = np.ones(len(known), dtype=np.bool_)
        for place in range(config.tokens):
            going &= (place < drafted) & (known + place < len(tokens))
            going[going] = tokens[(begin + place)[going]] == tokens[(known + place)[going]]
            accepted += going
        return Drafts(
            _from_first(drafted, self._output_tokens), _from_first(accepted, self._output_tokens)
        )


def _end_of_first_copy(hashes: Hashes, known: Counts, length: int) -> Counts:
    """Return where the first earlier copy of the last `length` known tokens ends; -1 for none."""
    exists = known >= length
    wanted, number = np.unique(hashes[np.maximum(known - length, 0)], return_inverse=True)
    place = np.minimum(np.searchsorted(wanted, hashes), max(len(wanted) - 1, 0))
    copies = np.flatnonzero(wanted[place] == hashes) if len(wanted) else np.empty(0, np.intp)
    first = np.zeros(len(wanted), dtype=np.int64)
    first[place[copies][::-1]] = copies[::-1]  # of equal places the last assignment stays
    end = first[number] + length
    return np.where(exists & (end < known), end, -1)


def _mixed(tokens: TokenIds) -> Hashes:
    """Spread ids over 64 bits (SplitMix64), so that sums of products do not collide."""
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _from_first(values: Counts, output_tokens: int) -> Counts:
    """Put a zero in front: nothing is drafted before the first token."""
    return np.concatenate((np.zeros(min(1, output_tokens), dtype=np.int64), values))

"""Suffix decoding: drafts the likely continuation of the last tokens, by what followed them before.

Rule (Arctic Inference 0.1.2, csrc/suffix_decoding, as vLLM's proposer calls it; arXiv 2411.04975):
one suffix tree counts the strings of up to `depth` tokens of the call's own prompt and output,
another those of all outputs, this call's included. For every suffix of the known tokens that a tree
has, the most frequent continuation is followed for up to `factor` tokens per matched token, as long
as the product of the frequencies is at least `probability`. The draft with the highest sum of these
products counts; of equals, that of the longest suffix, and that of the call's own tree.

What differs: calls are taken one after another, where an engine's global tree also has the first
part of outputs in flight; and after an output was evicted, equals are ordered as if it had never
been there.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from phasewise_analyzer.engine.caches.token_ids import TokenIds
from phasewise_analyzer.engine.schedulers.drafts import Drafts
from phasewise_analyzer.engine.speculation.config import SuffixConfig
from phasewise_analyzer.engine.speculation.occurrences import Occurrences, most_frequent

Scored = tuple[np.float32, list[int]]
"""the sum of the probabilities, in the precision of the original, and the draft"""
NOTHING: Scored = (np.float32(0), [])


class SuffixDecoder:
    """The trees of one engine: calls come one after another."""

    def __init__(self, config: SuffixConfig) -> None:
        self._config = config
        self._outputs = Occurrences()
        self._cached = 0
        factor = np.float32(config.factor)
        self._limits = [
            min(
                config.tokens,
                int(float(np.float32(matched) * factor) + 1e-6),
                config.depth - matched,
            )
            for matched in range(config.depth + 1)
        ]
        """tokens drafted after a match of so many, at most"""

    def drafts(self, prompt: TokenIds, output: TokenIds) -> Drafts:
        """Serve a call; return its drafts at the places that its decode steps reach."""
        own = Occurrences(prompt)
        self._start_output()
        tokens: list[int] = output.tolist()
        context = deque(prompt.tolist()[-self._config.depth :], self._config.depth)
        drafted = np.zeros(len(tokens), dtype=np.int64)
        accepted = np.zeros(len(tokens), dtype=np.int64)
        known, emitted = 0, 1
        while known < len(tokens):
            fresh = tokens[known : known + emitted]
            own.extend(fresh)
            if self._config.requests:
                self._outputs.extend(fresh)
            context.extend(fresh)
            known += emitted
            if known >= len(tokens):
                break
            draft = self._draft(own, list(context))
            drafted[known] = len(draft)
            accepted[known] = _common(draft, tokens[known : known + len(draft)])
            emitted = int(accepted[known]) + 1
        return Drafts(drafted, accepted)

    def _start_output(self) -> None:
        """Make room for the output of another call; the oldest one is evicted."""
        if not self._config.requests:
            return
        if self._cached:
            self._outputs.begin()
        if self._cached < self._config.requests:
            self._cached += 1
        else:
            self._outputs.forget_first()

    def _draft(self, own: Occurrences, context: Sequence[int]) -> list[int]:
        """Return the better of both trees' drafts."""
        best = self._better(NOTHING, own, context)
        if self._config.requests:
            best = self._better(best, self._outputs, context)
        return best[1]

    def _better(self, best: Scored, tree: Occurrences, context: Sequence[int]) -> Scored:
        """Return a tree's draft with the highest score if that is higher than the best so far.

        Longer matches come first: of equal scores, the first one found counts.
        """
        limits = self._limits
        longest = len(context) - 1
        for matched, places in reversed(_matches(tree, context, longest)):
            limit = max(limits[matched.start : matched.stop])
            if limit <= best[0]:
                continue  # a sum of probabilities is at most the number of tokens
            draft, scores = self._follow(tree, places, limit)
            for one in reversed(matched):
                size = min(limits[one], len(draft))
                if size and scores[size - 1] > best[0]:
                    best = scores[size - 1], draft[:size]
        if longest < 1 or limits[1] <= best[0]:
            return best
        draft, scores = self._follow(tree, tree.after(context[-1]), limits[1])
        return (scores[-1], draft) if draft and scores[-1] > best[0] else best

    def _follow(
        self, tree: Occurrences, places: list[int], limit: int
    ) -> tuple[list[int], list[np.float32]]:
        """Follow the most frequent continuation; return it and the sums of its probabilities."""
        least = np.float32(self._config.probability)
        draft: list[int] = []
        scores: list[np.float32] = []
        probability = np.float32(1)
        score = np.float32(0)
        while len(draft) < limit:
            followers = tree.followers(places, len(draft))
            if not followers:
                break
            token, count = most_frequent(followers)
            if count < len(places):
                probability *= np.float32(count) / np.float32(len(places))
            if probability < least:
                break
            places = [
                place
                for place in places
                if place + len(draft) < len(tree.tokens)
                and tree.tokens[place + len(draft)] == token
            ]
            draft.append(token)
            score = score + probability
            scores.append(score)
        return draft, scores


def _matches(
    tree: Occurrences, context: Sequence[int], longest: int
) -> list[tuple[range, list[int]]]:
    """Return the places after the suffixes of two tokens and more, by their lengths.

    Lengths that have the same places are together: they have the same continuations.
    """
    found: list[tuple[range, list[int]]] = []
    if longest < 2:  # tokens of a pair
        return found
    places = tree.after_pair(context[-2], context[-1])
    tokens = tree.tokens
    begin = length = 2
    while places and length < longest:
        wanted = context[-length - 1]
        here = [place for place in places if tokens[place - length - 1] == wanted]
        length += 1
        if len(here) < len(places):
            found.append((range(begin, length), places))
            begin, places = length, here
    if places:
        found.append((range(begin, length + 1), places))
    return found


def _common(draft: Sequence[int], actual: Sequence[int]) -> int:
    """Return how many tokens a draft and the output share from the start."""
    pairs = zip(draft, actual, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), len(actual))

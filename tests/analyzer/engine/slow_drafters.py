"""The drafters told again, slowly: every copy is looked at, every string stands in a dictionary."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from phasewise_analyzer.engine.speculation.config import NgramConfig, SuffixConfig

Tokens = tuple[int, ...]


def ngram_draft(known: Sequence[int], config: NgramConfig) -> list[int]:
    """Look for the longest suffix, and from the front for its first copy."""
    for length in range(min(config.longest, len(known) - 1), config.shortest - 1, -1):
        for end in range(length, len(known)):
            if known[end - length : end] == known[len(known) - length :]:
                return list(known[end : end + config.tokens])
    return []


class SlowTree:
    """A suffix tree with a node per string."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.count: dict[Tokens, int] = defaultdict(int)
        self.children: dict[Tokens, list[int]] = defaultdict(list)

    def append(self, sequence: list[int], token: int) -> None:
        """Count every string that ends with the new token, the longest first."""
        sequence.append(token)
        for length in range(min(self.depth, len(sequence)), 0, -1):
            string = tuple(sequence[-length:])
            self._grow(string[:-1], string)

    def _grow(self, above: Tokens, string: Tokens) -> None:
        order = self.children[above]
        token = string[-1]
        if token not in order:
            order.append(token)
            self.count[string] = 1
            return
        at = order.index(token)
        old = self.count[string]
        before = self.count[*above, order[at - 1]] if at else old + 2
        if before <= old + 1:
            order.remove(token)
            peers = [one for one in order if self.count[*above, one] == before]
            order.insert(order.index(peers[0]), token)
        self.count[string] = old + 1

    def draft(self, context: Sequence[int], config: SuffixConfig) -> tuple[list[int], np.float32]:
        """Try every suffix of the context, the shortest first; a later one wins where equal."""
        best: list[int] = []
        best_score = np.float32(0)
        for matched in range(1, len(context)):
            string = tuple(context[-matched:])
            if not self.count[string]:
                break
            room = int(float(np.float32(matched) * np.float32(config.factor)) + 1e-6)
            draft: list[int] = []
            score, probability = np.float32(0), np.float32(1)
            while len(draft) < min(config.tokens, room) and self.children[string]:
                following = (*string, self.children[string][0])
                probability *= np.float32(self.count[following]) / np.float32(self.count[string])
                if probability < np.float32(config.probability):
                    break
                draft.append(following[-1])
                score += probability
                string = following
            if score >= best_score:
                best, best_score = draft, score
        return best, best_score


class SlowSuffixDecoder:
    """Both trees, without eviction."""

    def __init__(self, config: SuffixConfig) -> None:
        self.config = config
        self.outputs = SlowTree(config.depth)

    def serve(self, prompt: Sequence[int], output: Sequence[int]) -> list[tuple[int, int, int]]:
        """Serve a call; return place, drafted and accepted of every decode step."""
        own = SlowTree(self.config.depth)
        text: list[int] = []
        answer: list[int] = []
        for token in prompt:
            own.append(text, token)
        steps = []
        known, fresh = 0, 1
        while known < len(output):
            for token in output[known : known + fresh]:
                own.append(text, token)
                if self.config.requests:
                    self.outputs.append(answer, token)
            known += fresh
            if known >= len(output):
                break
            context = text[-self.config.depth :]
            draft, score = own.draft(context, self.config)
            other, other_score = self.outputs.draft(context, self.config)
            draft = other if other_score > score else draft
            accepted = 0
            while accepted < len(draft) and output[known + accepted : known + accepted + 1] == [
                draft[accepted]
            ]:
                accepted += 1
            steps.append((known, len(draft), accepted))
            fresh = accepted + 1
        return steps

"""Count the texts of prompts as the model that read them does, where its tokenizer is at hand.

That is so for served models: their tokenizer is a file beside their weights, and
`phasewise tokenizer` keeps it with their calls. What the chat template adds to each message is not
in any text; `token_estimates` fits it to the reported totals.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from phasewise_store import reads, tokenizers
from phasewise_store.errors import UsageError
from phasewise_store.facts import Segment
from phasewise_store.store import Store
from phasewise_store.tokens import front

from phasewise_analyzer.prefixes.placed_tree import PlacedTree
from phasewise_analyzer.prefixes.token_estimates import TextTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Encoder

BATCH_TEXTS = 256
"""encoded at once: what an encoder gives back is many times the text"""
MOST_REMEMBERED = 1_000_000
"""counts of texts; a page asks for the same again at every view"""
LOADED = 4
"""tokenizers that stay in memory"""

_log = logging.getLogger("phasewise")


class Tokenizer(Protocol):
    """Counts tokens."""

    def count(self, texts: Mapping[bytes, str]) -> dict[bytes, int]:
        """Return the tokens of each text; the same key always names the same text."""
        ...


class FileTokenizer:
    """A tokenizer made of its file."""

    def __init__(self, encoder: "Encoder") -> None:
        encoder.no_truncation()
        encoder.no_padding()
        self._encoder = encoder
        self._known: dict[bytes, int] = {}

    def count(self, texts: Mapping[bytes, str]) -> dict[bytes, int]:
        """Encode what was not counted before, on all cores."""
        if len(self._known) > MOST_REMEMBERED:
            self._known.clear()
        fresh = [key for key in texts if key not in self._known]
        for start in range(0, len(fresh), BATCH_TEXTS):
            keys = fresh[start : start + BATCH_TEXTS]
            encoded = self._encoder.encode_batch_fast(
                [texts[key] for key in keys], add_special_tokens=False
            )
            self._known.update(zip(keys, map(len, encoded), strict=True))
        return {key: self._known[key] for key in texts}

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ids: list[int] = self._encoder.encode(text, add_special_tokens=False).ids
        return ids


@lru_cache(maxsize=LOADED)
def load(content: bytes) -> FileTokenizer:
    """Make a tokenizer of a `tokenizer.json`; raises UsageError where that cannot be done."""
    try:
        from tokenizers import Tokenizer as Encoder  # noqa: PLC0415  # an extra
    except ImportError:
        raise UsageError(
            "counting with a model's own tokenizer needs:  pip install 'phasewise[tokenizers]'"
        ) from None
    try:
        return FileTokenizer(Encoder.from_str(content.decode()))
    except Exception as error:  # what it raises has no better name
        raise UsageError(
            f"not a tokenizer that Hugging Face tokenizers can read: {error}"
        ) from None


def of(store: Store) -> dict[str, FileTokenizer]:
    """Return the tokenizers kept in a store, by model; one that cannot be used is left out."""
    found: dict[str, FileTokenizer] = {}
    for one in tokenizers.read(store):
        try:
            found[one.model] = load(one.content)
        except UsageError as error:
            _log.warning("tokens of %s are estimated: %s", one.model, error)
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    """What one node adds to a prompt: its segment, or the front of that."""

    node: int
    above: int
    """where its segment starts: the node before, -1 at the root"""
    segment: Segment
    estimated: int
    """tokens of the part as `phasewise_store.tokens` estimates them"""
    is_inside: bool

    @property
    def key(self) -> bytes:
        front_tokens = self.estimated if self.is_inside else -1
        return self.segment.digest + front_tokens.to_bytes(8, "little", signed=True)

    @property
    def text(self) -> str | None:
        if self.segment.content is None:
            return None
        text = self.segment.content.decode("utf-8", "surrogatepass")
        return front(text, self.estimated) if self.is_inside else text


def counted(
    store: Store, placed: PlacedTree, calls: pl.DataFrame, own: Mapping[str, Tokenizer]
) -> dict[str, TextTokens]:
    """Count the nodes that the calls of these models pass, by model."""
    found = {}
    models = calls["model"].to_list()
    for model in sorted(own.keys() & set(models)):
        leaves = {int(placed.tree.leaf[row]) for row, name in enumerate(models) if name == model}
        found[model] = _count(store, placed, leaves, own[model])
    return found


def _count(store: Store, placed: PlacedTree, leaves: set[int], tokenizer: Tokenizer) -> TextTokens:
    parts = _parts(store, placed, leaves)
    texts = {part.key: text for part in parts if (text := part.text) is not None}
    counts = tokenizer.count(texts)
    known = [(part.estimated, counts[part.key]) for part in parts if part.key in counts]
    usual = sum(count for _, count in known) / max(1, sum(size for size, _ in known)) or 1.0
    tokens_end = placed.tree.tokens_end.copy()
    for part in parts:
        # of hashed segments nothing but an estimate is known
        tokens = counts.get(part.key, round(usual * part.estimated))
        start = 0 if part.above < 0 else tokens_end[part.above]
        tokens_end[part.node] = start + tokens
    return TextTokens(tokens_end, placed.index + ~placed.inside)


def _parts(store: Store, placed: PlacedTree, leaves: set[int]) -> list[_Part]:
    """Return what is to be counted, the front of prompts first."""
    nodes = _passed(placed.tree.parent, leaves)
    contents = reads.segments(store, map(int, placed.segment[nodes]))
    inside, parent = placed.inside.tolist(), placed.tree.parent.tolist()
    estimate = placed.tree.tokens_end.tolist()
    above: dict[int, int] = {}
    parts = []
    for node in nodes:
        up = parent[node]
        above[node] = above[up] if up >= 0 and inside[up] else up
        start = 0 if above[node] < 0 else estimate[above[node]]
        segment = contents[int(placed.segment[node])]
        parts.append(_Part(node, above[node], segment, estimate[node] - start, inside[node]))
    return parts


def _passed(parent: npt.NDArray[np.int32], leaves: set[int]) -> list[int]:
    """Return the nodes between the root and these leaves, parents first."""
    passed: set[int] = set()
    for node in leaves:
        while node >= 0 and node not in passed:
            passed.add(node)
            node = int(parent[node])  # noqa: PLW2901  # up to the root
    return sorted(passed)

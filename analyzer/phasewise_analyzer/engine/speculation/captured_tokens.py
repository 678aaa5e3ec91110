"""The tokens of recorded prompts and outputs, as a drafter would see them.

With the model's own tokenizer (`phasewise tokenizer`) these are its tokens, without those of the
chat template. Otherwise every word, number and run of punctuation is a token or a few: an estimate,
and named so beside every number that stands on it.
"""

from typing import Protocol

import numpy as np
import orjson
from phasewise_store.facts import Segment

from phasewise_analyzer.chat_messages import entries
from phasewise_analyzer.chat_messages.blocks import Blocks
from phasewise_analyzer.chat_messages.items import Call, Item
from phasewise_analyzer.engine.caches.prompt_ids import UNBOUNDED, digest_ids, text_ids
from phasewise_analyzer.engine.caches.token_ids import TokenIds


class Encoder(Protocol):
    """A model's own tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ...


def token_ids(segment: Segment, encoder: Encoder | None) -> TokenIds:
    """Return the tokens of a segment; of a hashed one, ids that nothing else has."""
    if segment.content is None:
        return digest_ids(segment.digest, segment.tokens, UNBOUNDED)
    text = generated_text(segment)
    if encoder is None:
        return text_ids(text)
    return np.array(encoder.encode(text), dtype=np.int64)


def generated_text(segment: Segment) -> str:
    """Return the words of a segment as a chat template writes them, and a model generates them.

    A call of a tool is an object with its name and its arguments. Reasoning is left out: it is not
    in the history that the next prompt sends.
    """
    raw = segment.content or b""
    if segment.kind not in ("system", "message"):
        return raw.decode("utf-8", "replace")
    items = entries.read(segment, Blocks("drop")).items
    return "\n".join(map(_words, items)) + "\n"


def _words(item: Item) -> str:
    if isinstance(item, Call):
        name = orjson.dumps(item.name).decode()
        return f'{{"name": {name}, "arguments": {item.arguments}}}'
    return item.text

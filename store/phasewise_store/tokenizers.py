"""The tokenizers of self-hosted models, stored with the calls that they count."""

from dataclasses import dataclass

import zstandard

from phasewise_store.statements import run
from phasewise_store.store import Store


@dataclass(frozen=True, slots=True)
class Definition:
    """A model's tokenizer as its file has it."""

    model: str
    """as its calls name it"""
    name: str
    """of the file"""
    content: bytes
    """a `tokenizer.json` of Hugging Face's tokenizers"""


def save(store: Store, definition: Definition) -> None:
    """Keep a model's tokenizer, in the place of an earlier one."""
    packed = zstandard.ZstdCompressor().compress(definition.content)
    with store.transaction() as connection:
        run(
            connection,
            "INSERT OR REPLACE INTO tokenizers (model, name, definition) VALUES (?, ?, ?)",
            [definition.model, definition.name, packed],
        )


def forget(store: Store, model: str) -> bool:
    """Drop a model's tokenizer; say whether there was one."""
    with store.transaction() as connection:
        rows = run(connection, "DELETE FROM tokenizers WHERE model = ? RETURNING model", [model])
    return bool(rows)


def read(store: Store) -> tuple[Definition, ...]:
    """Return all of them, by model."""
    rows = store.frame("SELECT model, name, definition FROM tokenizers ORDER BY model")
    expand = zstandard.ZstdDecompressor().decompress
    return tuple(
        Definition(model, name, expand(packed)) for model, name, packed in rows.iter_rows()
    )

"""Write the files of a model without weights, for an engine that makes up weights at random.

Random weights sample any token id, so a tokenizer of a smaller vocabulary gets a text for every id.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orjson

FOLDER = Path("~/.cache/phasewise/models")


def cached(files: Mapping[str, bytes], folder: Path | None = None) -> Path:
    """Return a folder with the files, the same one for the same files.

    vLLM's compile cache is keyed by the model's path: in a new folder every arm compiles again.
    """
    digest = hashlib.sha256()
    for name, raw in sorted(files.items()):
        digest.update(b"%b %d " % (name.encode(), len(raw)) + raw)
    all_models = FOLDER.expanduser() if folder is None else folder
    place = all_models / digest.hexdigest()[:16]
    if not place.exists():
        all_models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=all_models) as working:
            unpack(files, Path(working) / "model")
            (Path(working) / "model").rename(place)  # whole, or not there
    return place


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files; the tokenizer is filled up to the model's vocabulary."""
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    size = orjson.loads(files["config.json"])["vocab_size"]
    (folder / "tokenizer.json").write_bytes(filled(files["tokenizer.json"], size))


def filled(tokenizer: bytes, vocabulary_tokens: int) -> bytes:
    """Return a tokenizer with a text for every id below `vocabulary_tokens`."""
    found = orjson.loads(tokenizer)
    vocabulary = found["model"]["vocab"]
    taken = {*vocabulary.values(), *(one["id"] for one in found.get("added_tokens", ()))}
    vocabulary |= {f"~{n:x}~": n for n in range(vocabulary_tokens) if n not in taken}
    return orjson.dumps(found)

"""Reads shapes: from a config.json of Hugging Face, or by the name of a shipped one."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.shapes.architectures import READERS
from phasewise_analyzer.engine.shapes.config_fields import Fields
from phasewise_analyzer.engine.shapes.shape import Shape

TEXT_PARTS = ("text_config", "language_config")
"""where a multimodal config keeps its language model"""

SAME_ARCHITECTURE = {"kimi_k25": "kimi_k2"}


def find(name_or_path: str) -> Shape:
    """Return a shipped shape by name, or read a config.json or a folder that has one.

    Raises UsageError for an unknown name, an unreadable file, and an unknown architecture.
    """
    if name_or_path in names():
        return known(name_or_path)
    path = Path(name_or_path)
    if path.is_dir():
        path /= "config.json"
    if not path.is_file():
        raise UsageError(
            f"unknown model shape `{name_or_path}`; known: {', '.join(names())}, "
            "or the path of a config.json"
        )
    return _loaded(path.parent.name or path.stem, path.read_text("utf-8"))


@cache
def names() -> tuple[str, ...]:
    """Return the names of the shipped shapes."""
    folder = resources.files("phasewise_analyzer.engine.shapes").joinpath("configs")
    return tuple(sorted(one.name.removesuffix(".json") for one in folder.iterdir()))


@cache
def known(name: str) -> Shape:
    """Return a shipped shape; raises UsageError where the name is not known."""
    if name not in names():
        raise UsageError(f"unknown model shape `{name}`; known: {', '.join(names())}")
    folder = resources.files("phasewise_analyzer.engine.shapes").joinpath("configs")
    return _loaded(name, folder.joinpath(f"{name}.json").read_text("utf-8"))


def read(name: str, config: Mapping[str, object]) -> Shape:
    """Return the shape that a config describes; raises UsageError where it cannot."""
    fields, kind = _text_part(name, config)
    reader = READERS.get(kind)
    if reader is None:
        raise UsageError(
            f"unknown architecture `{kind}` in the config of `{name}`: its sizes are not guessed; "
            f"known: {', '.join(READERS)}"
        )
    return Shape(
        name,
        kind,
        hidden=fields.count("hidden_size"),
        vocabulary=fields.count("vocab_size"),
        tied=fields.flag("tie_word_embeddings"),
        layers=reader(fields),
        native_format=_native_format(config),
    )


def _text_part(name: str, config: Mapping[str, object]) -> tuple[Fields, str]:
    """Return the fields of the language model, and its architecture."""
    kind = config.get("model_type")
    for part in TEXT_PARTS:
        text = config.get(part)
        if isinstance(text, dict):
            # what the language model does not say itself holds for the whole model
            outer = {key: config[key] for key in ("tie_word_embeddings",) if key in config}
            config = outer | text
            kind = text.get("model_type", kind)
    if not isinstance(kind, str):
        raise UsageError(f"the config of `{name}` has no `model_type`")
    kind = SAME_ARCHITECTURE.get(kind, kind)
    return Fields(name, {**config, "model_type": kind}), kind


def _native_format(config: Mapping[str, object]) -> str | None:
    """Return the format of the published weights; None where it is one that we do not know."""
    described = config.get("quantization_config")
    if not isinstance(described, dict):
        return "bf16"
    method = described.get("quant_method")
    if method == "fp8":
        return "fp8_block" if described.get("weight_block_size") else "fp8"
    return "mxfp4" if method == "mxfp4" else None


def _loaded(name: str, text: str) -> Shape:
    try:
        config = json.loads(text)
    except json.JSONDecodeError as wrong:
        raise UsageError(f"the config of `{name}` is not JSON: {wrong}") from wrong
    if not isinstance(config, dict):
        raise UsageError(f"the config of `{name}` is not a JSON object")
    return read(name, config)

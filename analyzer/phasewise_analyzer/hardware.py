"""The GPUs and model shapes that we know, from `hardware.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeVar

import yaml
from phasewise_store.errors import UsageError

BYTES = 2
"""a BF16 weight, or a number in the KV cache"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at its datasheet's peak."""

    name: str
    flops: float
    """dense BF16 FLOP/s"""
    bytes_s: float
    memory_bytes: float
    source: str


@dataclass(frozen=True, slots=True)
class Model:
    """What the step time depends on."""

    name: str
    parameters: float
    active: float
    """parameters that one token passes, without embeddings"""
    layers: int
    heads: int
    kv_heads: int
    head_dim: int

    @property
    def weight_bytes(self) -> float:
        """All weights."""
        return self.parameters * BYTES

    @property
    def active_bytes(self) -> float:
        """Weights that a step with one sequence reads."""
        return self.active * BYTES

    @property
    def kv_bytes(self) -> int:
        """KV cache a token: keys and values of every layer."""
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES


def gpu(name: str) -> Gpu:
    """Return a GPU by name; raises UsageError where it is not known."""
    return _known(_gpus(), name, "GPU")


def model(name: str) -> Model:
    """Return a model shape by name; raises UsageError where it is not known."""
    return _known(_models(), name, "model shape")


def model_names() -> tuple[str, ...]:
    """Return the names of all model shapes."""
    return tuple(_models())


def _known(table: Mapping[str, T], name: str, what: str) -> T:
    if name not in table:
        raise UsageError(f"unknown {what} `{name}`; known: {', '.join(table)}")
    return table[name]


@cache
def _document() -> dict[str, dict[str, dict[str, float]]]:
    text = resources.files("phasewise_analyzer").joinpath("hardware.yaml").read_text("utf-8")
    found: dict[str, dict[str, dict[str, float]]] = yaml.safe_load(text)
    return found


@cache
def _gpus() -> Mapping[str, Gpu]:
    return {
        name: Gpu(
            name,
            flops=row["bf16_tflops"] * 1e12,
            bytes_s=row["bandwidth_tb_s"] * 1e12,
            memory_bytes=row["memory_gb"] * 1e9,
            source=str(row["source"]),
        )
        for name, row in _document()["gpus"].items()
    }


@cache
def _models() -> Mapping[str, Model]:
    return {
        name: Model(
            name,
            parameters=row["parameters_b"] * 1e9,
            active=row["active_b"] * 1e9,
            layers=int(row["layers"]),
            heads=int(row["heads"]),
            kv_heads=int(row["kv_heads"]),
            head_dim=int(row["head_dim"]),
        )
        for name, row in _document()["models"].items()
    }

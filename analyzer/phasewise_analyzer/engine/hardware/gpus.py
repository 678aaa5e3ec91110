"""The GPUs the engine model knows, from `gpus.yaml`, and their prices, from `gpu_prices.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

import yaml
from phasewise_store.errors import UsageError


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at the peak of its datasheet."""

    name: str
    rates: Mapping[str, float]
    """dense FLOP/s by format: bf16, and fp8 and fp4 where the GPU computes in them"""
    bytes_s: float
    memory_bytes: float
    link_bytes_s: float
    """between GPUs of one machine, in one direction"""
    link_s: float
    """latency of one all-reduce"""
    host_bytes_s: float
    """from the host's memory, in one direction"""
    source: str

    def rate(self, compute: str) -> float:
        """Return the FLOP/s in a format; a GPU without it computes in BF16."""
        return self.rates.get(compute, self.rates["bf16"])


@dataclass(frozen=True, slots=True)
class PriceBand:
    """What one GPU costs per hour, in dollars."""

    low: float
    mid: float
    high: float
    date: date | None
    source: str


def find(name: str) -> Gpu:
    """Return a GPU by name, however it is spelled; raises UsageError where it is not known."""
    found = _by_spelling().get(_plain(name))
    if found is None:
        raise UsageError(f"unknown GPU `{name}`; known: {', '.join(names())}")
    return found


@cache
def names() -> tuple[str, ...]:
    """Return the names of all GPUs."""
    return tuple(_document("gpus.yaml"))


def price(name: str, own_usd_hour: float | None = None) -> PriceBand | None:
    """Return what a GPU costs: the user's own price, or the published band, or None."""
    if own_usd_hour is not None:
        return PriceBand(own_usd_hour, own_usd_hour, own_usd_hour, None, "given")
    row = _document("gpu_prices.yaml").get(find(name).name)
    if row is None:
        return None
    return PriceBand(row["low"], row["mid"], row["high"], row["date"], row["source"])


@cache
def _by_spelling() -> Mapping[str, Gpu]:
    found: dict[str, Gpu] = {}
    for name, row in _document("gpus.yaml").items():
        gpu = Gpu(
            name,
            rates={one: row[one] * 1e12 for one in ("bf16", "fp8", "fp4") if one in row},
            bytes_s=row["tb_s"] * 1e12,
            memory_bytes=row["gib"] * 2**30,
            link_bytes_s=row["link_gb_s"] * 1e9,
            link_s=row["link_us"] * 1e-6,
            host_bytes_s=row["host_gb_s"] * 1e9,
            source=row["source"],
        )
        for spelling in (name, *row.get("aka", ())):
            found[_plain(str(spelling))] = gpu
    return found


def _plain(name: str) -> str:
    """Return a name without case, spaces and dashes."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


@cache
def _document(name: str) -> Mapping[str, Mapping[str, Any]]:
    text = resources.files("phasewise_analyzer.engine.hardware").joinpath(name).read_text("utf-8")
    document: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)
    return document

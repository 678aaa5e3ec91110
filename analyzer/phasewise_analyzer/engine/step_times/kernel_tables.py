"""Step times from measured kernel tables: CSV files with the microseconds of one layer each.

A folder holds `dense.csv` (layer, tokens), `attention.csv` (prefill_chunk, kv_prefill, n_decode,
kv_decode), `per_sequence.csv` (layer, sequences) and, for a mixture of experts, `moe.csv` (tokens,
activated_experts). Ranks that share the experts of the table each compute their part of the tokens
with their part of the activated experts. Between measured points times are interpolated, beyond
them extrapolated along the last two. A step is the sum over layers; host time and collectives are
not in it.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import yaml
from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.shapes.shape import Shape
from phasewise_analyzer.engine.step_times.batch import Basis, Batch, FloatArray
from phasewise_analyzer.engine.step_times.measured_curve import Curve, between

MICROSECOND = 1e-6

ONCE = ("embedding", "final_layernorm")
"""layers of a step, measured by tokens"""
PER_LAYER = ("layernorm", "layernorm", "qkv_proj", "rotary_emb", "o_proj")
"""in every layer; the norm comes before the attention and before the MLP"""
PER_SEQUENCE = ("lm_head", "sampler")
MLP = ("gate_up_proj", "act_fn", "down_proj")
OPTIONAL = ("qk_norm",)

Attention = Mapping[int, Mapping[int, Mapping[int, Curve]]]
"""by prefill chunk, tokens before it, and decodes: the time over the mean context of the decodes"""


class KernelTables:
    """Times of one model's kernels on one of `tp` x `dp` GPUs."""

    def __init__(self, folder: Path, shape: Shape, *, tp: int = 1, dp: int = 1) -> None:
        self._folder = folder
        self._layers = len(shape.layers)
        self._dense = _curves(folder / "dense.csv", "layer", "tokens")
        self._per_sequence = _curves(folder / "per_sequence.csv", "layer", "sequences")
        self._attention = _attention(folder / "attention.csv")
        self._experts = next(shape.experts(), None)
        self._expert_ranks = dp
        self._moe = None
        if self._experts is not None:
            own, whole = folder / "moe.csv", folder.parent / "tp1" / "moe.csv"
            if not own.is_file() and whole.is_file():
                own, self._expert_ranks = whole, tp * dp
            self._moe = _experts(own)
        self._check()
        self._skew = _skew(folder)
        self._decode: dict[int, Curve] = {}

    @property
    def basis(self) -> Basis:
        """Say where the times come from."""
        return Basis("kernels", str(self._folder), None)

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        linear = self._linear_us(batch)
        return (linear + self._layers * self._attention_us(batch)) * MICROSECOND

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        later = np.arange(steps, dtype=np.float64)
        curve = self._decode_curve(first.decodes)
        mean = curve.value_at(first.context / first.decodes + later)
        longest = curve.value_at(first.longest + later)
        attention = mean + self._skew * (longest - mean)
        linear = self._linear_us(first)
        return (linear + self._layers * attention) * MICROSECOND

    def _linear_us(self, batch: Batch) -> float:
        """Return the time of everything but attention."""
        tokens = batch.tokens
        total = sum(self._dense[name].value(tokens) for name in ONCE)
        blocks = [*PER_LAYER, *(name for name in OPTIONAL if name in self._dense)]
        if self._experts is None or self._moe is None:
            blocks += MLP
            mixture = 0.0
        else:
            active = self._experts.distinct(batch.group_tokens) / self._expert_ranks
            part = batch.group_tokens / self._expert_ranks
            mixture = between(self._moe, part, lambda curve: curve.value(active))
        layer = mixture + sum(self._dense[name].value(tokens) for name in blocks)
        heads = sum(self._per_sequence[name].value(batch.sampled) for name in PER_SEQUENCE)
        return total + self._layers * layer + heads

    def _attention_us(self, batch: Batch) -> float:
        """Return the time of attention in one layer.

        The table has one chunk per step: the largest runs beside the decodes, others alone.
        """
        mean = batch.context / batch.decodes if batch.decodes else 0.0
        chunks = sorted(batch.chunks, key=lambda one: one.new * (one.cached + one.new / 2))
        if not chunks:
            curve = self._decode_curve(batch.decodes)
            alike = curve.value(mean)
            return alike + self._skew * (curve.value(batch.longest) - alike)
        new, cached = chunks[-1].new, chunks[-1].cached
        total = self._one_chunk_us(new, cached, batch.decodes, mean)
        if batch.decodes:
            longest = self._one_chunk_us(new, cached, batch.decodes, batch.longest)
            total += self._skew * (longest - total)
        for chunk in chunks[:-1]:
            total += self._one_chunk_us(chunk.new, chunk.cached, 0, 0.0)
        return total

    def _one_chunk_us(self, new: int, cached: int, decodes: int, mean: float) -> float:
        def by_decodes(table: Mapping[int, Curve]) -> float:
            return between(table, decodes, lambda curve: curve.value(mean))

        def by_cached(table: Mapping[int, Mapping[int, Curve]]) -> float:
            return between(table, cached, by_decodes)

        return between(self._attention, new, by_cached)

    def _decode_curve(self, decodes: int) -> Curve:
        """Return the time by mean context of a step that only decodes."""
        found = self._decode.get(decodes)
        if found is None:
            table = self._attention[0][0]
            contexts = table[min(table)].at
            found = self._decode[decodes] = Curve.of(
                (at, self._decode_us(decodes, float(at))) for at in contexts
            )
        return found

    def _decode_us(self, decodes: int, mean: float) -> float:
        return between(self._attention[0][0], decodes, lambda curve: curve.value(mean))

    def _check(self) -> None:
        """Refuse a table that lacks a layer."""
        dense = [*ONCE, *PER_LAYER, *(MLP if self._experts is None else ())]
        missing = [f"`{name}` in dense.csv" for name in dense if name not in self._dense]
        missing += [
            f"`{name}` in per_sequence.csv"
            for name in PER_SEQUENCE
            if name not in self._per_sequence
        ]
        if 0 not in self._attention:
            missing.append("decode (prefill_chunk 0) in attention.csv")
        if len(self._attention) < 2:
            missing.append("prefill in attention.csv")
        if missing:
            raise UsageError(
                f"the kernel tables in `{self._folder}` lack {', '.join(missing)}: steps cannot be "
                "timed from them; without `--kernels` the roofline is used"
            )


def _rows(path: Path, *columns: str) -> Iterable[dict[str, str]]:
    """Yield the rows of a table; raises UsageError where it or one of its columns is missing."""
    if not path.is_file():
        raise UsageError(f"the kernel table `{path}` is missing")
    with path.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        missing = [name for name in columns if name not in (table.fieldnames or ())]
        if missing:
            raise UsageError(f"the kernel table `{path}` has no column `{missing[0]}`")
        yield from table


def _curves(path: Path, layer: str, axis: str) -> dict[str, Curve]:
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in _rows(path, layer, axis, "time_us"):
        points[row[layer]].append((float(row[axis]), float(row["time_us"])))
    return {name: Curve.of(found) for name, found in points.items()}


def _attention(path: Path) -> Attention:
    axes = ("prefill_chunk", "kv_prefill", "n_decode")
    points: dict[tuple[int, ...], list[tuple[float, float]]] = defaultdict(list)
    for row in _rows(path, *axes, "kv_decode", "time_us"):
        key = tuple(int(row[axis]) for axis in axes)
        points[key].append((float(row["kv_decode"]), float(row["time_us"])))
    table: dict[int, dict[int, dict[int, Curve]]] = {}
    for (chunk, cached, decodes), found in points.items():
        table.setdefault(chunk, {}).setdefault(cached, {})[decodes] = Curve.of(found)
    return table


def _experts(path: Path) -> dict[int, Curve]:
    points: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for row in _rows(path, "tokens", "activated_experts", "time_us"):
        at = float(row["activated_experts"])
        points[int(row["tokens"])].append((at, float(row["time_us"])))
    return {tokens: Curve.of(found) for tokens, found in points.items()}


def _skew(folder: Path) -> float:
    """Return how far sequences of unlike lengths move attention towards the longest one's time.

    Tables are measured with sequences of one length.  Where the profiler also measured unlike ones,
    `meta.yaml` has (t_unlike - t_mean) / (t_longest - t_mean); otherwise it is 0.
    """
    path = folder.parent / "meta.yaml"
    if not path.is_file():
        return 0.0
    meta = yaml.safe_load(path.read_text("utf-8"))
    fits = (meta.get("skew_fit") or {}).get("per_tp") or {}
    fit = (
        fits.get(int(folder.name.removeprefix("tp") or 0), {}) if folder.name[2:].isdigit() else {}
    )
    return float(fit.get("alpha_default", 0.0))

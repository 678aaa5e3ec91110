"""Step times from a roofline: bound by compute or by memory, whichever takes longer.

    step = max(2·active·tokens / (MFU·F), weights read / (MBU·W)) + head
         + attention FLOPs / (MFU·F) + KV read / (MBU·W) + operators·OP + sequences·SEQUENCE

A step without a CUDA graph takes at least what the host needs to launch it (zero in the prior).

The prior where nothing was measured, for an engine behind its HTTP server. MFU 0.7 and MBU 0.8 are
the common efficiencies; grouped matrix products of experts, and products with weights that have to
be converted first, reach less. `docs/forecasts.md` compares it with measured servers.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from phasewise_analyzer.engine.hardware.gpus import Gpu
from phasewise_analyzer.engine.shapes.formats import Format
from phasewise_analyzer.engine.shapes.layers import Attention, Experts, LatentAttention, Recurrent
from phasewise_analyzer.engine.shapes.shape import Shape, window
from phasewise_analyzer.engine.step_times.batch import Basis, Batch, FloatArray

DENSE_OPS = 8
"""operators of a layer: two norms, four around attention, two of the MLP"""
EXPERTS_OPS = 14
"""with a mixture of experts: routing, sorting and gathering besides"""
GRAPH_TOKENS = 512
"""tokens of the largest step for which vLLM captures a CUDA graph"""
BF16_BITS = 16
Mean = TypeVar("Mean", float, FloatArray)
"""the mean context of one step, or of each step in a row"""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What a GPU and its host reach of the datasheet; the defaults are the prior."""

    mfu: float = 0.7
    """share of the peak FLOP/s that matrix products reach"""
    experts_mfu: float = 0.4
    """share that the grouped products of a mixture of experts reach"""
    converted: float = 0.75
    """share of `mfu` that is left where a GPU has no units for the weights' format (FP8 on A100);
    chosen on one configuration of vllm-cost-meter (Llama-3.1-8B, FP8, A100)"""
    mbu: float = 0.8
    """share of the peak bandwidth that a step reaches"""
    op_s: float = 3e-6
    """start of one operator, as AIConfigurator takes it for every GPU"""
    launch_s: float = 0.0
    """host time per layer of a step without a CUDA graph; the GPU waits where it is the longer"""
    ramp_tokens: float = 0.0
    """tokens by which a step with prompts is slower than its size: small products reach less"""
    sequence_s: float = 60e-6
    """host time per sequence and step: sampling, detokenizing, streaming over HTTP.  Chosen on one
    configuration of vllm-cost-meter (Llama-3.1-8B, FP16, H100); no other one was used"""


@dataclass(frozen=True)
class Roofline:
    """Step times of one rank; `dp` data-parallel ranks share the experts of a mixture."""

    gpu: Gpu
    shape: Shape
    weights: Format
    cache: Format
    tp: int = 1
    dp: int = 1
    efficiency: Efficiency = Efficiency()

    @property
    def basis(self) -> Basis:
        """Say where the times come from."""
        reached = f"MFU {self.efficiency.mfu:.2g}, MBU {self.efficiency.mbu:.2g}"
        return Basis("roofline", f"datasheet of {self.gpu.name}, {reached}", None)

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        total = self._linear_s(batch) + self._operators_s
        for chunk in batch.chunks:
            total += self._chunk_s(chunk.new, chunk.cached)
        if batch.decodes:
            total += self._decode_s(batch.decodes, batch.context / batch.decodes, batch.drafts)
        if batch.tokens > GRAPH_TOKENS:
            total = max(total, self.efficiency.launch_s * len(self.shape.layers))
        return total + self.efficiency.sequence_s * batch.sequences

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        mean = first.context / first.decodes + np.arange(steps, dtype=np.float64)
        total = self._linear_s(first) + self._operators_s + self._decode_s(first.decodes, mean)
        if first.decodes > GRAPH_TOKENS:
            total = np.maximum(total, self.efficiency.launch_s * len(self.shape.layers))
        times: FloatArray = total + self.efficiency.sequence_s * first.decodes
        return times

    def _linear_s(self, batch: Batch) -> float:
        """Return the time of all matrix products, recurrent layers included."""
        tokens = batch.tokens
        everywhere = tokens + batch.elsewhere
        ramp = self.efficiency.ramp_tokens if batch.chunks else 0.0
        products_s = (tokens + ramp) * self._dense_s + (everywhere + ramp) * self._routed_s
        read = self._fixed_read + sum(
            mixture.distinct(everywhere) * held for mixture, held in self._mixtures
        )
        rest_s = batch.sampled * self._head_s + tokens * self._recurrent_s
        return max(products_s, read / self._bytes_s) + rest_s

    @cached_property
    def _fixed_read(self) -> float:
        """Bytes of weights that every step reads: all but the experts."""
        return self.shape.read_bytes(self.weights, tokens=0, tp=self.tp)

    @cached_property
    def _mixtures(self) -> list[tuple[Experts, float]]:
        """Kinds of mixtures, and the bytes on one rank of one expert in all layers of the kind."""
        ranks = self.tp * self.dp
        return [
            (one, count * self.shape.expert_bytes(one, self.weights) / ranks)
            for one, count in Counter(self.shape.experts()).items()
        ]

    @cached_property
    def _dense_s(self) -> float:
        """Seconds of the products of one token with dense weights."""
        rate = self.gpu.rate("bf16") if self.weights.experts_only else self._rate
        dense = self.shape.active_linear - self._routed
        return 2 * dense / (self.efficiency.mfu * rate) / self.tp

    @cached_property
    def _routed_s(self) -> float:
        """Seconds of the products of one token with its experts, on one of the ranks."""
        rate = self.efficiency.experts_mfu * self._rate
        return 2 * self._routed / rate / (self.tp * self.dp)

    @property
    def _routed(self) -> int:
        return sum(one.per_token * one.expert for one in self.shape.experts())

    @property
    def _rate(self) -> float:
        """FLOP/s in the format of the weights."""
        rate = self.gpu.rate(self.weights.compute)
        if self.weights.bits < BF16_BITS and self.weights.compute not in self.gpu.rates:
            rate *= self.efficiency.converted
        return rate

    @cached_property
    def _head_s(self) -> float:
        """Seconds of the head for one sequence."""
        return 2 * self.shape.embedding / self._flops_s / self.tp

    @cached_property
    def _recurrent_s(self) -> float:
        """Seconds of recurrent layers for one token, besides their projections."""
        flops = sum(
            one.mixer.token_flops for one in self.shape.layers if isinstance(one.mixer, Recurrent)
        )
        return flops / self._flops_s / self.tp

    @cached_property
    def _operators_s(self) -> float:
        """Seconds that starting operators takes."""
        return self.efficiency.op_s * sum(
            EXPERTS_OPS
            if any(isinstance(one, Experts) for one in layer.feed_forward)
            else DENSE_OPS
            for layer in self.shape.layers
        )

    def _chunk_s(self, new: int, cached: int) -> float:
        """Return the time of attention over a prompt's chunk and what comes before it."""
        flops = read = 0.0
        for seen, layers, pair in self._attention_kinds[False]:
            mean = cached + (new + 1) / 2
            mean = mean if seen is None else min(mean, seen)
            flops += pair * new * mean
            read += layers * (cached + new if seen is None else min(cached + new, seen + new))
        kv = read * self._layer_bytes
        return flops / self.tp / self._flops_s + kv / self._bytes_s

    def _decode_s(self, decodes: int, mean: Mean, drafts: int = 0) -> Mean:
        """Return the time of attention for sequences of a mean context.

        Draft tokens read the same keys and values as the token before them.
        """
        read = flops = 0 * mean
        for seen, layers, pair in self._attention_kinds[True]:
            context = mean if seen is None else np.minimum(mean, seen)
            read = read + layers * context
            flops = flops + pair * context
        kv_s = decodes * read * self._layer_bytes / self._bytes_s
        flops_s = (decodes + drafts) * flops / self.tp / self._flops_s
        if isinstance(mean, float):
            return max(kv_s, flops_s)
        return np.maximum(kv_s, flops_s)

    @cached_property
    def _attention_kinds(self) -> Mapping[bool, list[tuple[int | None, int, int]]]:
        """Group the attention layers by window: layers of it, and FLOPs per pair, if absorbed."""
        found = {}
        for absorbed in (False, True):
            kinds: dict[int | None, tuple[int, int]] = {}
            for layer in self.shape.layers:
                if isinstance(layer.mixer, Attention | LatentAttention):
                    seen = window(layer.mixer)
                    layers, pair = kinds.get(seen, (0, 0))
                    kinds[seen] = (layers + 1, pair + layer.mixer.pair_flops(absorbed=absorbed))
            found[absorbed] = [(seen, *kind) for seen, kind in kinds.items()]
        return found

    @cached_property
    def _layer_bytes(self) -> float:
        """Mean cache bytes per token of one attention layer on one rank."""
        found = self.shape.layer_cache_bytes(self.cache, self.tp)
        return sum(found) / len(found) if found else 0.0

    @cached_property
    def _bytes_s(self) -> float:
        return self.efficiency.mbu * self.gpu.bytes_s

    @cached_property
    def _flops_s(self) -> float:
        return self.efficiency.mfu * self.gpu.rate("bf16")

"""Step times from a roofline: bound by compute or by memory, whichever takes longer.

    step = max(2·active·tokens / (MFU·F), weights read / (MBU·W)) + head
         + attention FLOPs / (MFU·F) + KV read / (MBU·W) + operators·OP + sequences·SEQUENCE

The prior where nothing was measured, for an engine behind its HTTP server. MFU 0.7 and MBU 0.8 are
the common efficiencies; grouped matrix products of experts, and products with weights that have to
be converted first, reach less. `docs/forecasts.md` compares it with measured servers.
"""

from dataclasses import dataclass

import numpy as np

from phasewise_analyzer.engine.batch import Basis, Batch, FloatArray
from phasewise_analyzer.engine.formats import Format
from phasewise_analyzer.engine.gpus import Gpu
from phasewise_analyzer.engine.layers import Attention, Experts, LatentAttention, Recurrent
from phasewise_analyzer.engine.shape import Shape, window

MFU = 0.7
"""share of the peak FLOP/s that matrix products reach"""
EXPERTS_MFU = 0.4
"""share that the grouped products of a mixture of experts reach"""
CONVERTED = 0.75
"""share of MFU that is left where a GPU has no units for the weights' format (FP8 on A100);
chosen on one configuration of vllm-cost-meter (Llama-3.1-8B, FP8, A100)"""
MBU = 0.8
"""share of the peak bandwidth that a step reaches"""
OP_S = 3e-6
"""start of one operator, as AIConfigurator takes it for every GPU"""
DENSE_OPS = 8
"""operators of a layer: two norms, four around attention, two of the MLP"""
EXPERTS_OPS = 14
"""with a mixture of experts: routing, sorting and gathering besides"""
SEQUENCE_S = 60e-6
"""host time per sequence and step: sampling, detokenizing, streaming over HTTP.  Chosen on one
configuration of vllm-cost-meter (Llama-3.1-8B, FP16, H100); no other one was used"""
BF16_BITS = 16


@dataclass(frozen=True)
class Roofline:
    """Step times of one rank; `dp` data-parallel ranks share the experts of a mixture."""

    gpu: Gpu
    shape: Shape
    weights: Format
    cache: Format
    tp: int = 1
    dp: int = 1

    @property
    def basis(self) -> Basis:
        """Say where the times come from."""
        return Basis("roofline", f"datasheet of {self.gpu.name}, MFU {MFU}, MBU {MBU}", None)

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step."""
        total = self._linear_s(batch) + self._host_s(batch.sequences)
        for chunk in batch.chunks:
            total += self._chunk_s(chunk.new, chunk.cached)
        if batch.decodes:
            mean = np.array([batch.context / batch.decodes])
            total += float(self._decode_s(batch.decodes, mean)[0])
        return total

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        mean = first.context / first.decodes + np.arange(steps, dtype=np.float64)
        linear = self._linear_s(first) + self._host_s(first.decodes)
        return linear + self._decode_s(first.decodes, mean)

    def _linear_s(self, batch: Batch) -> float:
        """Return the time of all matrix products, recurrent layers included."""
        shape, rate, tokens = self.shape, self.gpu.rate(self.weights.compute), batch.tokens
        if self.weights.bits < BF16_BITS and self.weights.compute not in self.gpu.rates:
            rate *= CONVERTED
        routed = sum(one.per_token * one.expert for one in shape.experts())
        dense_rate = self.gpu.rate("bf16") if self.weights.experts_only else rate
        dense_s = 2 * tokens * (shape.active_linear - routed) / (MFU * dense_rate)
        experts_s = 2 * batch.group_tokens / self.dp * routed / (EXPERTS_MFU * rate)
        read = shape.read_bytes(
            self.weights, tokens=batch.group_tokens, tp=self.tp, expert_ranks=self.tp * self.dp
        )
        head_s = 2 * batch.sequences * shape.embedding / (MFU * self.gpu.rate("bf16")) / self.tp
        recurrent = sum(
            one.mixer.token_flops for one in shape.layers if isinstance(one.mixer, Recurrent)
        )
        products_s = max((dense_s + experts_s) / self.tp, read / self._bytes_s)
        return products_s + head_s + recurrent * tokens / self._flops_s / self.tp

    def _host_s(self, sequences: int) -> float:
        """Return the time that starting operators and handling sequences takes."""
        operators = sum(
            EXPERTS_OPS
            if any(isinstance(one, Experts) for one in layer.feed_forward)
            else DENSE_OPS
            for layer in self.shape.layers
        )
        return operators * OP_S + sequences * SEQUENCE_S

    def _chunk_s(self, new: int, cached: int) -> float:
        """Return the time of attention over a prompt's chunk and what comes before it."""
        flops = read = 0.0
        for layer in self.shape.layers:
            if isinstance(layer.mixer, Attention | LatentAttention):
                seen = window(layer.mixer)
                mean = cached + (new + 1) / 2
                mean = mean if seen is None else min(mean, seen)
                flops += layer.mixer.pair_flops(absorbed=False) * new * mean
                read += cached + new if seen is None else min(cached + new, seen + new)
        kv = read * self._layer_bytes
        return flops / self.tp / self._flops_s + kv / self._bytes_s

    def _decode_s(self, decodes: int, mean: FloatArray) -> FloatArray:
        """Return the time of attention for sequences of a mean context."""
        read = np.zeros_like(mean)
        flops = np.zeros_like(mean)
        for seen, layers, pair in self._attention_kinds:
            context = mean if seen is None else np.minimum(mean, seen)
            read += layers * context
            flops += pair * context
        kv_s = decodes * read * self._layer_bytes / self._bytes_s
        times: FloatArray = np.maximum(kv_s, decodes * flops / self.tp / self._flops_s)
        return times

    @property
    def _attention_kinds(self) -> list[tuple[int | None, int, int]]:
        """Group the attention layers by window: layers of it, and FLOPs per pair."""
        kinds: dict[int | None, tuple[int, int]] = {}
        for layer in self.shape.layers:
            if isinstance(layer.mixer, Attention | LatentAttention):
                seen = window(layer.mixer)
                layers, pair = kinds.get(seen, (0, 0))
                kinds[seen] = (layers + 1, pair + layer.mixer.pair_flops(absorbed=True))
        return [(seen, *found) for seen, found in kinds.items()]

    @property
    def _layer_bytes(self) -> float:
        """Mean cache bytes per token of one attention layer on one rank."""
        found = self.shape.layer_cache_bytes(self.cache, self.tp)
        return sum(found) / len(found) if found else 0.0

    @property
    def _bytes_s(self) -> float:
        return MBU * self.gpu.bytes_s

    @property
    def _flops_s(self) -> float:
        return MFU * self.gpu.rate("bf16")

"""A model's shape: its layers, and the parameters, bytes and FLOPs that follow from them.

Everything is exact for the given config.json; nothing is measured. Where a server runs, its own
number of KV blocks is better than `kv_token_bytes`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from phasewise_analyzer.engine.shapes import formats
from phasewise_analyzer.engine.shapes.formats import (
    DS_MLA_TOKEN_BYTES,
    INDEXER_TOKEN_BYTES,
    Format,
)
from phasewise_analyzer.engine.shapes.layers import (
    Attention,
    Experts,
    LatentAttention,
    Layer,
    Mlp,
    Recurrent,
)

CONV_BYTES = 2
"""per value of the convolution state of a recurrent layer"""
BF16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What an engine's memory and step times depend on."""

    name: str
    architecture: str
    """`model_type` of the config.json"""
    hidden: int
    vocabulary: int
    tied: bool
    """whether the head reuses the embedding"""
    layers: tuple[Layer, ...]
    native_format: str | None = "bf16"
    """format of the weights as published; None where the config names one that is not known"""

    @property
    def parameters(self) -> int:
        """All parameters, the embedding and the head included."""
        blocks = sum(block.weights.total for block in self._blocks())
        experts = sum(one.count * (one.expert + one.expert_plain) for one in self.experts())
        norms = sum(layer.norms for layer in self.layers) + self.hidden
        return blocks + experts + norms + self.embedding + self.head

    @property
    def embedding(self) -> int:
        """Weights of the token embedding."""
        return self.hidden * self.vocabulary

    @property
    def head(self) -> int:
        """Weights of the head beyond the embedding."""
        return 0 if self.tied else self.embedding

    @property
    def active_linear(self) -> int:
        """Weights that one token is multiplied with, without the embedding and the head."""
        routed = sum(one.per_token * one.expert for one in self.experts())
        return sum(block.weights.linear for block in self._blocks()) + routed

    @property
    def active(self) -> int:
        """Parameters that one token passes: all but the idle experts and the embedding."""
        idle = sum(
            (one.count - one.per_token) * (one.expert + one.expert_plain) for one in self.experts()
        )
        return self.parameters - idle - (0 if self.tied else self.embedding)

    @property
    def kv_bytes(self) -> float:
        """KV cache bytes per token in BF16, of layers that attend to the whole context."""
        return self.kv_token_bytes(formats.cache("bf16"))

    def weight_bytes(self, weights: Format, tp: int = 1, *, expert_ranks: int = 0) -> float:
        """Return the bytes of all weights on one rank, see `read_bytes`."""
        read = self.read_bytes(weights, tokens=None, tp=tp, expert_ranks=expert_ranks)
        return read + self._embedding_bytes(tp)

    def read_bytes(
        self, weights: Format, *, tokens: float | None, tp: int = 1, expert_ranks: int = 0
    ) -> float:
        """Return the bytes of weights on one rank that a step with so many tokens reads.

        Of each mixture it reads the experts that the tokens are routed to; None reads all.
        `expert_ranks` share the experts (default: the tensor-parallel ranks).
        """
        linear = BF16_BYTES if weights.experts_only else weights.bytes
        total = self.hidden * self.vocabulary * BF16_BYTES / tp  # the head
        for block in self._blocks():
            kv = block.weights.kv / min(tp, _kv_heads(block))
            held = block.weights.sharded / tp + kv + block.weights.replicated
            total += held * linear + block.weights.plain * BF16_BYTES
        for mixture in self.experts():
            read = mixture.count if tokens is None else mixture.distinct(tokens)
            total += read * self.expert_bytes(mixture, weights) / (expert_ranks or tp)
        norms = sum(layer.norms for layer in self.layers) + self.hidden
        return total + norms * BF16_BYTES

    def expert_bytes(self, mixture: Experts, weights: Format) -> float:
        """Return the bytes of one expert of one layer."""
        return mixture.expert * weights.bytes + mixture.expert_plain * BF16_BYTES

    def kv_token_bytes(self, cache: Format, tp: int = 1) -> float:
        """Return the KV cache bytes on one rank that grow with every token."""
        return sum(
            _cache_bytes(layer.mixer, cache, tp)
            for layer in self.layers
            if not (isinstance(layer.mixer, Attention) and layer.mixer.window is not None)
        )

    def layer_cache_bytes(self, cache: Format, tp: int = 1) -> list[float]:
        """Return the bytes per token on one rank of each layer that attends."""
        return [
            _cache_bytes(layer.mixer, cache, tp)
            for layer in self.layers
            if isinstance(layer.mixer, Attention | LatentAttention)
        ]

    def sequence_bytes(self, cache: Format, tp: int = 1) -> float:
        """Return the bytes on one rank that a long sequence holds and that do not grow."""
        return self._bounded_bytes(None, cache, tp)

    def held_bytes(self, context: int, cache: Format, tp: int = 1) -> float:
        """Return the cache bytes on one rank of a sequence with so many tokens."""
        return context * self.kv_token_bytes(cache, tp) + self._bounded_bytes(context, cache, tp)

    def pair_flops(self, *, absorbed: bool) -> int:
        """Return the FLOPs per query token and token attended to, in layers without a window.

        Decode of latent attention is absorbed, see `LatentAttention.pair_flops`.
        """
        return sum(
            layer.mixer.pair_flops(absorbed=absorbed)
            for layer in self.layers
            if isinstance(layer.mixer, Attention | LatentAttention) and window(layer.mixer) is None
        )

    def experts(self) -> Iterator[Experts]:
        """Yield the mixtures of experts."""
        for layer in self.layers:
            for block in layer.feed_forward:
                if isinstance(block, Experts):
                    yield block

    def _bounded_bytes(self, context: int | None, cache: Format, tp: int) -> float:
        """Return the bytes of windows and states; None is a context beyond every window."""
        total = 0.0
        for layer in self.layers:
            mixer = layer.mixer
            if isinstance(mixer, Attention) and mixer.window is not None:
                seen = mixer.window if context is None else min(context, mixer.window)
                total += seen * _cache_bytes(mixer, cache, tp)
            elif isinstance(mixer, Recurrent):
                state = mixer.state_values * mixer.state_bytes
                total += (state + mixer.conv_values * CONV_BYTES) / tp
        return total

    def _embedding_bytes(self, tp: int) -> float:
        return 0.0 if self.tied else self.embedding * BF16_BYTES / tp

    def _blocks(self) -> Iterator[Attention | LatentAttention | Recurrent | Mlp | Experts]:
        for layer in self.layers:
            if layer.mixer is not None:
                yield layer.mixer
            yield from layer.feed_forward


def window(mixer: Attention | LatentAttention) -> int | None:
    """Return the most tokens a layer attends to; None is the whole context."""
    return mixer.window if isinstance(mixer, Attention) else mixer.index_top


def _kv_heads(block: Attention | LatentAttention | Recurrent | Mlp | Experts) -> int:
    return block.kv_heads if isinstance(block, Attention) else 1


def _cache_bytes(mixer: object, cache: Format, tp: int) -> float:
    """Return the bytes per token of one layer on one rank."""
    if isinstance(mixer, Attention):
        return mixer.cache_values(tp) * cache.bytes
    if isinstance(mixer, LatentAttention):
        latent = (mixer.rank + mixer.rope_dim) * cache.bytes
        if cache.name == "fp8_ds_mla":
            latent = DS_MLA_TOKEN_BYTES
        index = mixer.index_dim * (1 + INDEXER_TOKEN_BYTES) if mixer.has_indexer else 0
        return latent + index
    return 0.0

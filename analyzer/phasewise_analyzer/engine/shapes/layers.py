"""The kinds of layers a model is made of: their weights, their KV cache, their FLOPs.

`architectures` builds them from a config.json; `shape` sums them. Weights are counted, not bytes:
bytes depend on the format. One multiply-add is two FLOPs.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """How many weights a layer has, by how they are stored and divided."""

    sharded: int = 0
    """of linear projections, divided among tensor-parallel ranks"""
    kv: int = 0
    """of the key and value projections, divided by KV heads and replicated beyond them"""
    replicated: int = 0
    """of linear projections that every rank holds"""
    plain: int = 0
    """norms, biases, router, convolutions: never quantized, on every rank"""

    @property
    def linear(self) -> int:
        """All weights that take part in a matrix multiplication and may be quantized."""
        return self.sharded + self.kv + self.replicated

    @property
    def total(self) -> int:
        """All weights."""
        return self.linear + self.plain


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax attention with a key and a value per KV head and token (MHA, GQA, MQA)."""

    weights: Weights
    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    window: int | None = None
    """most tokens a token attends to (sliding window, chunk); None is the whole context"""

    def cache_values(self, tp: int) -> int:
        """Return the values cached per token on one rank; KV heads are replicated if tp exceeds."""
        return -(-self.kv_heads // tp) * (self.key_dim + self.value_dim)

    def pair_flops(self, *, absorbed: bool) -> int:
        """Return the FLOPs per query token and token attended to."""
        del absorbed
        return 2 * self.heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention (MLA): one compressed vector per token, on every rank."""

    weights: Weights
    heads: int
    rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    index_heads: int = 0
    index_dim: int = 0
    index_top: int | None = None
    """most tokens a sparse layer attends to; None attends to the whole context"""
    has_indexer: bool = False
    """whether this layer keeps the keys of its own indexer"""

    def pair_flops(self, *, absorbed: bool) -> int:
        """Return the FLOPs per query token and token attended to.

        Decode works on the compressed vectors (absorbed), prefill on the expanded ones.
        """
        if absorbed:
            return 2 * self.heads * (2 * self.rank + self.rope_dim)
        return 2 * self.heads * (self.nope_dim + self.rope_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class Recurrent:
    """Linear attention or a state-space layer: a state per sequence that does not grow."""

    weights: Weights
    state_values: int
    state_bytes: int
    """bytes per value of the recurrent state"""
    conv_values: int
    token_flops: int
    """FLOPs per token besides the projections"""


Mixer = Attention | LatentAttention | Recurrent


@dataclass(frozen=True, slots=True)
class Mlp:
    """A dense feed-forward block."""

    weights: Weights


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts; `weights` are the router, shared experts and latent projections."""

    weights: Weights
    count: int
    per_token: int
    expert: int
    """weights of one expert"""
    expert_plain: int = 0
    """biases of one expert"""

    def distinct(self, tokens: float) -> float:
        """Return how many experts a step with so many tokens reads, under uniform routing."""
        return float(self.count * (1.0 - (1.0 - self.per_token / self.count) ** tokens))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: at most one mixer, and feed-forward blocks side by side."""

    mixer: Mixer | None
    feed_forward: tuple[Mlp | Experts, ...]
    norms: int
    """weights of its layer norms"""

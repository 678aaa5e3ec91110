"""Parts that most architectures share: attention with grouped heads, gated MLPs, experts."""

from phasewise_analyzer.engine.shapes.config_fields import Fields
from phasewise_analyzer.engine.shapes.layers import Attention, Experts, Layer, Mlp, Weights

QK_NORM = frozenset({"qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text"})
"""architectures that norm each query and key head"""
QKV_BIAS = frozenset({"qwen2", "mimo"})
"""architectures that have biases on q, k and v but not on o"""


def head_dim(fields: Fields) -> int:
    """Return the size of a head; hidden / heads only where the config names none."""
    named = fields.optional("head_dim")
    return named or fields.count("hidden_size") // fields.count("num_attention_heads")


def attention(fields: Fields, *, window: int | None = None, norms: int = 0) -> Attention:
    """Return attention with q, k, v and o projections; `norms` are further plain weights."""
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    kv_heads = fields.count_or(heads, "num_key_value_heads")
    dim = head_dim(fields)
    kind = fields.text("model_type", "")
    if kind in QK_NORM:
        norms += 2 * dim
    if kind in QKV_BIAS or fields.flag("attention_bias"):
        norms += (heads + 2 * kv_heads) * dim
        norms += 0 if kind in QKV_BIAS else hidden
    weights = Weights(sharded=2 * hidden * heads * dim, kv=2 * hidden * kv_heads * dim, plain=norms)
    return Attention(weights, heads, kv_heads, dim, dim, window)


def gated(fields: Fields, width: int) -> int:
    """Return the weights of an MLP with gate, up and down projections."""
    return 3 * fields.count("hidden_size") * width


def experts(
    fields: Fields, width: int, *, shared: int = 0, router_bias: int = 0, expert_bias: int = 0
) -> Experts:
    """Return a mixture of gated experts of one width, with its router."""
    count = fields.count("num_local_experts", "n_routed_experts", "num_experts")
    per_token = fields.count(
        "num_experts_per_tok", "experts_per_token", "num_experts_per_token", "top_k_experts"
    )
    return Experts(
        Weights(sharded=shared, plain=fields.count("hidden_size") * count + router_bias),
        count,
        per_token,
        gated(fields, width),
        expert_bias,
    )


def layer(fields: Fields, mixer: Attention, block: Mlp | Experts) -> Layer:
    """Return a layer with a norm before its attention and one before its MLP."""
    return Layer(mixer, (block,), 2 * fields.count("hidden_size"))

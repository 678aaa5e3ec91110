"""Architectures that mix attention with recurrent layers: Qwen3.5 and Nemotron-H."""

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.shapes.config_fields import Fields
from phasewise_analyzer.engine.shapes.layer_parts import experts, gated, head_dim
from phasewise_analyzer.engine.shapes.layers import (
    Attention,
    Experts,
    Layer,
    Mixer,
    Mlp,
    Recurrent,
    Weights,
)

STATE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}


def qwen3_5(fields: Fields) -> tuple[Layer, ...]:
    """Read Qwen3.5: gated delta nets, full attention with an output gate in every n-th layer."""
    layers, hidden = fields.count("num_hidden_layers"), fields.count("hidden_size")
    kinds = fields.per_layer("layer_types", layers)
    block: Mlp | Experts
    if fields.optional("num_experts") is None:
        block = Mlp(Weights(sharded=gated(fields, fields.count("intermediate_size"))))
    else:
        shared = 3 * hidden * fields.count("shared_expert_intermediate_size")
        block = experts(
            fields, fields.count("moe_intermediate_size"), shared=shared, router_bias=hidden
        )
    full, linear = _gated_attention(fields), _delta_net(fields)
    return tuple(
        Layer(full if kind == "full_attention" else linear, (block,), 2 * hidden) for kind in kinds
    )


def _gated_attention(fields: Fields) -> Attention:
    """Return attention whose query projection also makes an output gate."""
    heads, kv_heads = fields.count("num_attention_heads"), fields.count("num_key_value_heads")
    hidden, dim = fields.count("hidden_size"), head_dim(fields)
    gates = 3 if fields.flag("attn_output_gate") else 2
    weights = Weights(
        sharded=gates * hidden * heads * dim, kv=2 * hidden * kv_heads * dim, plain=2 * dim
    )
    return Attention(weights, heads, kv_heads, dim, dim)


def _delta_net(fields: Fields) -> Recurrent:
    hidden = fields.count("hidden_size")
    key_heads, key_dim = fields.count("linear_num_key_heads"), fields.count("linear_key_head_dim")
    heads, value_dim = fields.count("linear_num_value_heads"), fields.count("linear_value_head_dim")
    keys, values = key_heads * key_dim, heads * value_dim
    kernel, channels = fields.count("linear_conv_kernel_dim"), 2 * keys + values
    return Recurrent(
        Weights(
            sharded=hidden * (2 * keys + 2 * values + 2 * heads) + values * hidden,
            plain=channels * kernel + 2 * heads + value_dim,
        ),
        state_values=heads * key_dim * value_dim,
        state_bytes=STATE_BYTES[fields.text("mamba_ssm_dtype", "float32")],
        conv_values=(kernel - 1) * channels,
        token_flops=6 * heads * key_dim * value_dim,
    )


def nemotron_h(fields: Fields) -> tuple[Layer, ...]:
    """Read Nemotron-H: each layer is one of Mamba-2, attention, MLP or experts, without gates."""
    hidden = fields.count("hidden_size")
    pattern = fields.text("hybrid_override_pattern", "")
    if len(pattern) != fields.count("num_hidden_layers"):
        raise UsageError(
            f"`hybrid_override_pattern` in the config of `{fields.name}` must name every layer"
        )
    return tuple(_nemotron_layer(fields, kind, hidden) for kind in pattern)


def _nemotron_layer(fields: Fields, kind: str, hidden: int) -> Layer:
    mixer: Mixer | None = None
    blocks: tuple[Mlp | Experts, ...] = ()
    if kind == "M":
        mixer = _mamba2(fields)
    elif kind == "*":
        mixer = _nemotron_attention(fields)
    elif kind == "-":
        blocks = (Mlp(Weights(sharded=2 * hidden * fields.count("intermediate_size"))),)
    elif kind == "E":
        blocks = (_nemotron_experts(fields, hidden),)
    else:
        raise UsageError(f"unknown layer `{kind}` in the config of `{fields.name}`")
    return Layer(mixer, blocks, hidden)


def _nemotron_attention(fields: Fields) -> Attention:
    heads, kv_heads = fields.count("num_attention_heads"), fields.count("num_key_value_heads")
    hidden = fields.count("hidden_size")
    dim = fields.count("head_dim", "attention_head_dim")
    weights = Weights(sharded=2 * hidden * heads * dim, kv=2 * hidden * kv_heads * dim)
    return Attention(weights, heads, kv_heads, dim, dim)


def _nemotron_experts(fields: Fields, hidden: int) -> Experts:
    """Return experts of two matrices, which can work on a narrower latent vector."""
    count, width = fields.count("n_routed_experts"), fields.count("moe_intermediate_size")
    latent = fields.optional("moe_latent_size")
    shared = (
        2
        * hidden
        * fields.count_or(0, "moe_shared_expert_intermediate_size")
        * fields.count_or(0, "n_shared_experts")
    )
    return Experts(
        Weights(
            sharded=shared,
            replicated=0 if latent is None else 2 * hidden * latent,
            plain=hidden * count + count,
        ),
        count,
        fields.count("num_experts_per_tok"),
        2 * (latent or hidden) * width,
    )


def _mamba2(fields: Fields) -> Recurrent:
    hidden, heads = fields.count("hidden_size"), fields.count("mamba_num_heads")
    inner = heads * fields.count("mamba_head_dim")
    state, groups = fields.count("ssm_state_size"), fields.count("n_groups")
    channels, kernel = inner + 2 * groups * state, fields.count("conv_kernel")
    bias = channels if fields.flag("use_conv_bias") else 0
    return Recurrent(
        Weights(
            sharded=hidden * (inner + channels + heads) + inner * hidden,
            plain=channels * kernel + bias + 3 * heads + inner,
        ),
        state_values=inner * state,
        state_bytes=STATE_BYTES[fields.text("mamba_ssm_cache_dtype", "auto")],
        conv_values=(kernel - 1) * channels,
        token_flops=6 * inner * state,
    )

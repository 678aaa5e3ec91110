"""Turns a config.json into layers, architecture by architecture.

An architecture that is not in `READERS` is refused by name: a formula that fits most models gives
wrong sizes for the rest without a sign of it. Counts agree with the modules of `transformers`.
"""

from collections.abc import Callable, Mapping

from phasewise_analyzer.engine.shapes.config_fields import Fields
from phasewise_analyzer.engine.shapes.hybrid_architectures import nemotron_h, qwen3_5
from phasewise_analyzer.engine.shapes.latent_architectures import deepseek
from phasewise_analyzer.engine.shapes.layer_parts import (
    attention,
    experts,
    gated,
    head_dim,
    layer,
)
from phasewise_analyzer.engine.shapes.layers import Attention, Experts, Layer, Mlp, Weights
from phasewise_analyzer.engine.shapes.nas_architecture import nemotron_nas

Reader = Callable[[Fields], tuple[Layer, ...]]


def dense(fields: Fields) -> tuple[Layer, ...]:
    """Read a decoder with one attention and one gated MLP per layer."""
    window = fields.optional("sliding_window") if _slides(fields) else None
    layers = fields.count("num_hidden_layers")
    first = fields.count_or(layers, "max_window_layers") if window is not None else layers
    block = Mlp(Weights(sharded=gated(fields, fields.count("intermediate_size"))))
    return tuple(
        layer(
            fields,
            attention(fields, window=window if index >= first or _always(fields) else None),
            block,
        )
        for index in range(layers)
    )


def mixture(fields: Fields) -> tuple[Layer, ...]:
    """Read a decoder whose MLPs are mixtures of experts, some layers excepted."""
    layers = fields.count("num_hidden_layers")
    step = fields.count_or(1, "decoder_sparse_step")
    dense_layers = set(fields.listed("mlp_only_layers") or ())
    routed = experts(fields, fields.count("moe_intermediate_size", "intermediate_size"))

    def block(index: int) -> Mlp | Experts:
        if index in dense_layers or (index + 1) % step:
            return Mlp(Weights(sharded=gated(fields, fields.count("intermediate_size"))))
        return routed

    window = fields.optional("sliding_window") if _always(fields) else None
    return tuple(
        layer(fields, attention(fields, window=window), block(index)) for index in range(layers)
    )


def minimax_m2(fields: Fields) -> tuple[Layer, ...]:
    """Read MiniMax-M2: all layers routed, a routing bias per expert, norms over all heads."""
    dim = head_dim(fields)
    norms = dim * (fields.count("num_attention_heads") + fields.count("num_key_value_heads"))
    count = fields.count("num_local_experts")
    routed = experts(fields, fields.count("intermediate_size"), router_bias=count)
    made = layer(fields, attention(fields, norms=norms), routed)
    return (made,) * fields.count("num_hidden_layers")


def gpt_oss(fields: Fields) -> tuple[Layer, ...]:
    """Read gpt-oss: sliding and full layers, sinks, biases everywhere."""
    layers = fields.count("num_hidden_layers")
    kinds = fields.per_layer("layer_types", layers)
    width, hidden = fields.count("intermediate_size"), fields.count("hidden_size")
    count = fields.count("num_local_experts")
    routed = experts(fields, width, router_bias=count, expert_bias=2 * width + hidden)
    sinks = fields.count("num_attention_heads")
    window = fields.count("sliding_window")
    return tuple(
        layer(
            fields,
            attention(fields, window=window if kind == "sliding_attention" else None, norms=sinks),
            routed,
        )
        for kind in kinds
    )


def llama4(fields: Fields) -> tuple[Layer, ...]:
    """Read Llama 4: chunked attention in three layers of four, experts in every n-th layer."""
    layers, hidden = fields.count("num_hidden_layers"), fields.count("hidden_size")
    step = fields.count("interleave_moe_layer_step")
    width = fields.count("intermediate_size")
    routed = experts(fields, width, shared=3 * hidden * width)
    plain = Mlp(Weights(sharded=gated(fields, fields.count("intermediate_size_mlp"))))
    rope = fields.listed("no_rope_layers") or [(index + 1) % 4 for index in range(layers)]
    chunk = fields.count("attention_chunk_size")
    return tuple(
        layer(
            fields,
            attention(fields, window=chunk if rope[index] else None),
            plain if (index + 1) % step else routed,
        )
        for index in range(layers)
    )


def gemma4(fields: Fields) -> tuple[Layer, ...]:
    """Read Gemma 4: other heads in full layers, where the value projection can be the key's."""
    layers, hidden = fields.count("num_hidden_layers"), fields.count("hidden_size")
    kinds = fields.per_layer("layer_types", layers)
    sliding = attention(fields, window=fields.count("sliding_window"), norms=2 * head_dim(fields))
    full = _gemma4_full(fields)
    blocks: tuple[Mlp | Experts, ...] = (
        Mlp(Weights(sharded=gated(fields, fields.count("intermediate_size")))),
    )
    norms = 4 * hidden + 1  # and a scalar per layer
    if fields.flag("enable_moe_block"):
        count = fields.count("num_experts")
        # the router's own scale, and a scale per expert
        blocks += (
            experts(fields, fields.count("moe_intermediate_size"), router_bias=hidden + count),
        )
        norms += 3 * hidden
    return tuple(
        Layer(full if kind == "full_attention" else sliding, blocks, norms) for kind in kinds
    )


def _gemma4_full(fields: Fields) -> Attention:
    heads, hidden = fields.count("num_attention_heads"), fields.count("hidden_size")
    dim = fields.count_or(head_dim(fields), "global_head_dim")
    shared = fields.flag("attention_k_eq_v")
    kv_heads = fields.count("num_key_value_heads")
    if shared:
        kv_heads = fields.count_or(kv_heads, "num_global_key_value_heads")
    kv = hidden * kv_heads * dim * (1 if shared else 2)
    weights = Weights(sharded=2 * hidden * heads * dim, kv=kv, plain=2 * dim)
    return Attention(weights, heads, kv_heads, dim, dim)  # keys and values are cached apart


def mimo_v2(fields: Fields) -> tuple[Layer, ...]:
    """Read MiMo-V2: sliding layers with other KV heads, values narrower than keys."""
    layers, hidden = fields.count("num_hidden_layers"), fields.count("hidden_size")
    slides = fields.per_layer("hybrid_layer_pattern", layers)
    routed_layers = fields.per_layer("moe_layer_freq", layers)
    window = fields.count("sliding_window", "sliding_window_size")

    def mixer(prefix: str, window: int | None, sinks: bool) -> Attention:
        heads = fields.count(f"{prefix}num_attention_heads", "num_attention_heads")
        kv_heads = fields.count(f"{prefix}num_key_value_heads")
        keys, values = fields.count(f"{prefix}head_dim"), fields.count(f"{prefix}v_head_dim")
        weights = Weights(
            sharded=hidden * heads * (keys + values),
            kv=hidden * kv_heads * (keys + values),
            plain=heads if sinks else 0,
        )
        return Attention(weights, heads, kv_heads, keys, values, window)

    full = mixer("", None, fields.flag("add_full_attention_sink_bias"))
    sliding = mixer("swa_", window, fields.flag("add_swa_attention_sink_bias"))
    plain = Mlp(Weights(sharded=gated(fields, fields.count("intermediate_size"))))
    count = fields.count("n_routed_experts")
    routed = experts(fields, fields.count("moe_intermediate_size"), router_bias=count)
    return tuple(
        Layer(
            sliding if slides[index] else full,
            (routed if routed_layers[index] else plain,),
            2 * hidden,
        )
        for index in range(layers)
    )


def _slides(fields: Fields) -> bool:
    """Tell whether `sliding_window` counts: Qwen's configs name one that is switched off."""
    return fields.flag("use_sliding_window") if "use_sliding_window" in fields.values else True


def _always(fields: Fields) -> bool:
    """Tell whether every layer slides (Mistral 7B v0.1, Mixtral)."""
    return _slides(fields) and "max_window_layers" not in fields.values


READERS: Mapping[str, Reader] = {
    "llama": dense,
    "mistral": dense,
    "mimo": dense,
    "qwen2": dense,
    "qwen3": dense,
    "qwen3_vl_text": dense,
    "mixtral": mixture,
    "qwen3_moe": mixture,
    "qwen3_vl_moe_text": mixture,
    "minimax_m2": minimax_m2,
    "gpt_oss": gpt_oss,
    "llama4_text": llama4,
    "gemma4_text": gemma4,
    "mimo_v2_flash": mimo_v2,
    "deepseek_v3": deepseek,
    "deepseek_v32": deepseek,
    "glm_moe_dsa": deepseek,
    "kimi_k2": deepseek,
    "qwen3_5_text": qwen3_5,
    "qwen3_5_moe_text": qwen3_5,
    "nemotron_h": nemotron_h,
    "nemotron-nas": nemotron_nas,
}
"""by `model_type` of the text part"""

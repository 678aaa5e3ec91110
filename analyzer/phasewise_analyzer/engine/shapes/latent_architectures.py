"""Architectures with multi-head latent attention: DeepSeek V3 and V3.2, Kimi K2, GLM-5."""

from phasewise_analyzer.engine.shapes.config_fields import Fields
from phasewise_analyzer.engine.shapes.layer_parts import experts, gated
from phasewise_analyzer.engine.shapes.layers import LatentAttention, Layer, Mlp, Weights


def deepseek(fields: Fields) -> tuple[Layer, ...]:
    """Read latent attention with dense layers first and experts after them.

    Multi-token prediction layers are not counted: an engine loads them only for speculation.
    """
    layers, hidden = fields.count("num_hidden_layers"), fields.count("hidden_size")
    width = fields.count("moe_intermediate_size")
    shared = 3 * hidden * width * fields.count_or(0, "n_shared_experts")
    routed = experts(fields, width, shared=shared, router_bias=fields.count("n_routed_experts"))
    plain = Mlp(Weights(sharded=gated(fields, fields.count("intermediate_size"))))
    first = fields.count_or(0, "first_k_dense_replace")
    step = fields.count_or(1, "moe_layer_freq")
    indexers = fields.listed("indexer_types") or ["full"] * layers
    return tuple(
        Layer(
            _latent(fields, has_indexer=indexers[index] == "full"),
            (plain if index < first or index % step else routed,),
            2 * hidden,
        )
        for index in range(layers)
    )


def _latent(fields: Fields, *, has_indexer: bool) -> LatentAttention:
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    rank, rope = fields.count("kv_lora_rank"), fields.count("qk_rope_head_dim")
    nope, values = fields.count("qk_nope_head_dim"), fields.count("v_head_dim")
    query_rank = fields.optional("q_lora_rank")
    queries = heads * (nope + rope)
    plain = rank  # the norm of the compressed vector
    replicated = hidden * (rank + rope)
    if query_rank is None:
        sharded = hidden * queries
    else:
        sharded = query_rank * queries
        replicated += hidden * query_rank
        plain += query_rank
    sharded += rank * heads * (nope + values) + heads * values * hidden
    index_dim = fields.optional("index_head_dim")
    index_heads = fields.count_or(0, "index_n_heads")
    has_indexer = has_indexer and index_dim is not None
    if has_indexer and index_dim is not None:
        from_queries = (query_rank or hidden) * index_heads * index_dim
        replicated += from_queries + hidden * (index_dim + index_heads)
        plain += 2 * index_dim
    return LatentAttention(
        Weights(sharded=sharded, replicated=replicated, plain=plain),
        heads,
        rank,
        rope,
        nope,
        values,
        index_heads,
        index_dim or 0,
        fields.optional("index_topk"),
        has_indexer,
    )

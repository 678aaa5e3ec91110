"""Nemotron models found by architecture search: every layer has its own width, or no attention."""

from collections.abc import Mapping

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.shapes.config_fields import Fields
from phasewise_analyzer.engine.shapes.layer_parts import gated, head_dim
from phasewise_analyzer.engine.shapes.layers import Attention, Layer, Mlp, Weights

WIDTH_MULTIPLE = 256
"""MLP widths are rounded up to it"""


def nemotron_nas(fields: Fields) -> tuple[Layer, ...]:
    """Read `block_configs`: heads per group and MLP width of each layer."""
    blocks = fields.per_layer("block_configs", fields.count("num_hidden_layers"))
    return tuple(_layer(fields, _part(block, "attention"), _part(block, "ffn")) for block in blocks)


def _layer(fields: Fields, mixing: Mapping[str, object], ffn: Mapping[str, object]) -> Layer:
    hidden, heads, dim = (
        fields.count("hidden_size"),
        fields.count("num_attention_heads"),
        head_dim(fields),
    )
    if mixing.get("replace_with_linear") or ffn.get("replace_with_linear"):
        raise UsageError(f"`{fields.name}` replaces blocks by linear layers: not supported")
    mixer: Attention | None = None
    group = mixing.get("n_heads_in_group")
    if not mixing.get("no_op") and isinstance(group, int):
        kv_heads = heads // group
        weights = Weights(sharded=2 * hidden * heads * dim, kv=2 * hidden * kv_heads * dim)
        mixer = Attention(weights, heads, kv_heads, dim, dim)
    factor = ffn.get("ffn_mult")
    mlps: tuple[Mlp, ...] = ()
    if not ffn.get("no_op") and isinstance(factor, int | float):
        width = int(2 * factor * hidden / 3)
        width = -(-width // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
        mlps = (Mlp(Weights(sharded=gated(fields, width))),)
    return Layer(mixer, mlps, hidden * ((mixer is not None) + len(mlps)))


def _part(block: object, name: str) -> Mapping[str, object]:
    part = block.get(name) if isinstance(block, dict) else None
    if not isinstance(part, dict):
        raise UsageError(f"a block of `block_configs` has no `{name}`")
    return part

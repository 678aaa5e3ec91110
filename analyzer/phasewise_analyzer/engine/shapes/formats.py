"""Number formats of weights and of the KV cache, with their bytes per value."""

from dataclasses import dataclass

from phasewise_analyzer.engine.not_modelled import NotModelledError


@dataclass(frozen=True, slots=True)
class Format:
    """One number format; `bits` includes the scales stored beside the values."""

    name: str
    bits: float
    compute: str
    """which peak rate of a GPU applies: bf16, fp8 or fp4"""
    experts_only: bool = False
    """only the experts are stored in it, the rest in BF16"""

    @property
    def bytes(self) -> float:
        """Bytes per value."""
        return self.bits / 8


WEIGHTS = (
    Format("bf16", 16, "bf16"),
    Format("fp16", 16, "bf16"),
    Format("fp8", 8, "fp8"),
    Format("fp8_block", 8 + 32 / (128 * 128), "fp8"),  # an FP32 scale per 128 x 128 block
    Format("int8", 8, "bf16"),
    Format("int4", 4 + 16 / 128 + 4 / 128, "bf16"),  # AWQ/GPTQ: scale and zero per 128 weights
    Format("mxfp4", 4 + 8 / 32, "bf16", experts_only=True),  # gpt-oss as published
    Format("nvfp4", 4 + 8 / 16, "fp4"),  # an FP8 scale per 16 weights
)
"""of weights; the head, the embedding, norms and routers stay in BF16"""

CACHE = (
    Format("bf16", 16, "bf16"),
    Format("fp16", 16, "bf16"),
    Format("fp8", 8, "fp8"),
    Format("fp8_ds_mla", 8, "fp8"),
    Format("nvfp4", 4 + 8 / 16, "fp4"),
)
"""of the KV cache"""

DS_MLA_TOKEN_BYTES = 656
"""per token and layer in `fp8_ds_mla`: 512 FP8 values, 4 FP32 scales, 64 BF16 values"""

INDEXER_TOKEN_BYTES = 4 / 128
"""FP32 scale per value of an indexer key, which is kept in FP8 whatever the cache's format"""

_SAME = {
    "auto": "bf16",
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
}


def weights(name: str) -> Format:
    """Return the format of weights by name; raises NotModelledError where it is not known."""
    return _known(WEIGHTS, name, "weight format")


def cache(name: str) -> Format:
    """Return the format of a KV cache by name; raises NotModelledError where it is not known."""
    return _known(CACHE, name, "KV cache format")


def _known(formats: tuple[Format, ...], name: str, what: str) -> Format:
    wanted = _SAME.get(name, name)
    for known in formats:
        if known.name == wanted:
            return known
    names = ", ".join(known.name for known in formats)
    raise NotModelledError(f"unknown {what} `{name}`; known: {names}")

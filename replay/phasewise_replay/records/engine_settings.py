"""Settings that vLLM and SGLang both have, under one name: what two engines differ in.

Hundreds of settings exist in only one of them. These decide what is batched, cached and computed.
"""

from collections.abc import Mapping

from phasewise_replay.records.arm_record import ArmRecord

NAMES: Mapping[str, tuple[str, str]] = {
    "most tokens in a step": ("max_num_batched_tokens", "chunked_prefill_size"),
    "most sequences in a step": ("max_num_seqs", "max_running_requests"),
    "KV cache format": ("cache_dtype", "kv_cache_dtype"),
    "weights format": ("dtype", "dtype"),
    "quantization": ("quantization", "quantization"),
    "tensor parallel": ("tensor_parallel_size", "tp_size"),
    "data parallel": ("data_parallel_size", "dp_size"),
    "scheduling policy": ("policy", "schedule_policy"),
    "eager": ("enforce_eager", "disable_cuda_graph"),
}
"""by name here: the last part of vLLM's name, and of SGLang's"""
SPELLINGS: Mapping[str, object] = {"torch.float32": "float32", "torch.bfloat16": "bfloat16"}


def is_sglang(record: ArmRecord) -> bool:
    """Return whether the settings of an arm are SGLang's, also behind a URL."""
    return "chunked_prefill_size" in record.settings


def normalised(record: ArmRecord) -> dict[str, object]:
    """Return the settings under their common names."""
    place = 1 if is_sglang(record) else 0
    own = {name.rpartition(".")[2]: value for name, value in sorted(record.settings.items())}
    found: dict[str, object] = {
        "prefix caching": record.prefix_caching,
        "KV block, tokens": record.block_tokens,
        "KV cache, tokens": None
        if record.blocks_of_kv is None or record.block_tokens is None
        else record.blocks_of_kv * record.block_tokens,
        "context, tokens": record.max_model_tokens,
    }
    for name, spellings in NAMES.items():
        value = own.get(spellings[place])
        found[name] = SPELLINGS.get(value, value) if isinstance(value, str) else value
    return found

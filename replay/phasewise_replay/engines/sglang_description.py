"""Read the prefix cache's configuration from an SGLang server's `/server_info`.

The cache can be modelled only when it follows the rules of `engine.radix_cache`. With an older
version, or a setting that changes the rules, they are unknown and nothing is predicted.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from phasewise_replay.engine import Resolved

PATHS = ("/server_info?config_format=json", "/get_server_info")
"""the newer one answers for vLLM in development mode too"""

OLDEST = (0, 5, 23)
"""the version whose rules `radix_cache` implements"""

FOLLOWED: Mapping[str, object] = {
    "radix_cache_backend": None,
    "radix_eviction_policy": "lru",
    "schedule_policy": "fcfs",
    "dp_size": 1,
    "dcp_size": 1,
    "disaggregation_mode": "null",
    "speculative_algorithm": None,
    "dllm_algorithm": None,
    "enable_dynamic_chunking": False,
    "enable_flexkv": False,
    "enable_hierarchical_cache": False,
    "enable_hisparse": False,
    "enable_kv_cache_sharding": False,
    "enable_lmcache": False,
    "enable_mixed_chunk": False,
    "enable_session_radix_cache": False,
    "enable_unified_cache_external_linker": False,
    "enable_unified_memory": False,
    "strip_thinking_cache": False,
    "uses_mamba_radix_cache": False,
}
"""settings under which the rules hold; a setting that a version does not have passes"""


def with_cache(resolved: Resolved, info: Mapping[str, object]) -> Resolved:
    """Add what an SGLang server says of its cache; what it does not say stays unknown."""
    page = _count(info.get("page_size"))
    capacity = _count(info.get("max_total_num_tokens"))
    disabled = info.get("disable_radix_cache")
    version = info.get("version")
    limits = [resolved.max_model_tokens, _count(info.get("max_req_input_len"))]
    blocks: int | None = None
    if capacity is not None and page is not None:
        blocks = capacity // page
        limits.append((blocks - 1) * page - 1)  # it keeps a page and a token free beside a request
    return replace(
        resolved,
        version=resolved.version if version is None else str(version),
        prefix_caching=None if disabled is None else not disabled,
        prefix_cache="radix" if blocks is not None and _is_followed(info) else None,
        block_tokens=page,
        blocks=blocks,
        max_model_tokens=min((limit for limit in limits if limit is not None), default=None),
        chunk_tokens=_count(info.get("chunked_prefill_size")),
        overlapped=not info.get("disable_overlap_schedule"),
    )


def is_sglang(info: Mapping[str, object]) -> bool:
    """Return whether an answer at one of the paths is SGLang's."""
    return "max_total_num_tokens" in info


def unmodelled(settings: Mapping[str, object]) -> list[str]:
    """Return the names of settings under which the rules do not hold."""
    return [name for name, value in FOLLOWED.items() if settings.get(name, value) != value]


def _is_followed(info: Mapping[str, object]) -> bool:
    """Return whether all attention layers share one cache that works by the known rules."""
    numbers = tuple(map(int, re.findall(r"\d+", str(info.get("version")))[:3]))
    if numbers < OLDEST:
        return False
    states = info.get("internal_states")
    for state in states if isinstance(states, list) else ():
        memory = state.get("memory_usage") if isinstance(state, Mapping) else None
        if isinstance(memory, Mapping) and memory.get("token_capacity_swa") is not None:
            return False  # sliding-window layers have a pool of their own
    return not unmodelled(info)


def _count(value: object) -> int | None:
    """Return a number of tokens; SGLang writes -1 for no limit."""
    return value if isinstance(value, int) and value > 0 else None

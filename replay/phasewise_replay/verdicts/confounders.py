"""Settings that differ between two arms: only those that the plan changes may differ."""

from collections.abc import Mapping, Set

from phasewise_replay.records import engine_settings
from phasewise_replay.records.arm_record import ArmRecord

Difference = tuple[object, object]
"""the baseline's value and the arm's"""

DERIVED = (
    "num_gpu_blocks",
    "num_cpu_blocks",
    "compile",
    "cudagraph",
    "hash",
    "kv_cache_size",
    "kv_cache_max_concurrency",
    "simulated_gpus",
)
"""name parts of settings that an engine derives from others and from free memory"""

SPELLINGS: Mapping[str, Set[str]] = {
    "enable_prefix_caching": {"prefix_caching"},
    "disable_radix_cache": {"prefix_caching"},
    "page_size": {"block_tokens"},
    "block_size": {"block_tokens"},
    "max_num_batched_tokens": {
        *("chunk_tokens", "max_num_scheduled_tokens", "max_num_encoder_input"),
        "encoder_cache_size",  # vLLM takes it from this flag where it is the larger one
    },
    "speculative_config": {
        *("speculative", "num_lookahead", "num_speculative", "drafter"),
        # vLLM turns it off beside n-gram speculation and suffix decoding, and what follows it
        *("async_scheduling", "disable_nccl_for_dp_synchronization"),
        "max_num_scheduled_tokens",  # a step keeps room for drafts
    },
}
"""a flag, and other names under which its setting is reported"""


def changed(baseline: ArmRecord, arm: ArmRecord) -> dict[str, Difference]:
    """Return the settings that differ, as both engines report them.

    Of two kinds of engines, the settings that both have, under their common names; none where one
    of the two servers reports no settings.
    """
    if engine_settings.is_sglang(baseline) != engine_settings.is_sglang(arm):
        rows = engine_settings.common(baseline, arm)
        named = {
            "engine": (baseline.engine, arm.engine),
            "version": (baseline.version, arm.version),
        }
        return named | {row.title: (row.baseline, row.arm) for row in rows if not row.equal}
    facts = ["engine", "model", "version", "prefix_caching", "block_tokens"]
    if arm.basis == "measured":
        facts.append("max_model_tokens")  # a simulated engine's is derived from its KV cache
    one = {name: getattr(baseline, name) for name in facts}
    two = {name: getattr(arm, name) for name in facts}
    if baseline.settings and arm.settings:
        one |= baseline.settings
        two |= arm.settings
    return {
        name: (one.get(name), two.get(name))
        for name in sorted(one.keys() | two.keys())
        if one.get(name) != two.get(name) and not any(part in name for part in DERIVED)
    }


def unplanned(
    differences: Mapping[str, Difference],
    baseline: Mapping[str, object],
    arm: Mapping[str, object],
) -> list[str]:
    """Return the settings that differ although the planned configurations do not change them."""
    planned = {
        name
        for name in baseline.keys() | arm.keys()
        if name != "name" and baseline.get(name) != arm.get(name)
    }
    words = {word for name in planned for word in _words(name)}
    if planned & {"engine", "url", "python", "scheduler"}:
        return []  # another server: its settings are not expected to match
    return [
        name for name in differences if not any(word in name.replace("-", "_") for word in words)
    ]


def _words(flag: str) -> Set[str]:
    plain = flag.replace("-", "_")
    return {plain} | SPELLINGS.get(plain, set())

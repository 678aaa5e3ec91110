"""What is believed of an SGLang server by what it says of itself."""

import pytest
from phasewise_replay.engine import Resolved
from phasewise_replay.engines import sglang_description

NAMELESS = Resolved("url", "m", "measured", max_model_tokens=4096)
INFO: dict[str, object] = {
    "version": "0.5.23",
    "page_size": 16,
    "max_total_num_tokens": 1000,
    "max_req_input_len": 994,
    "chunked_prefill_size": 512,
    "disable_radix_cache": False,
    "disable_overlap_schedule": False,
    "radix_eviction_policy": "lru",
    "schedule_policy": "fcfs",
    "internal_states": [{"memory_usage": {"token_capacity": 1000, "token_capacity_swa": None}}],
}


def test_a_usual_server_s_cache_is_known() -> None:
    """Its whole pages, its step, and what a request may take: a page and a token stay free."""
    resolved = sglang_description.with_cache(NAMELESS, INFO)
    assert (resolved.prefix_cache, resolved.prefix_caching) == ("radix", True)
    assert (resolved.block_tokens, resolved.blocks) == (16, 62)
    assert (resolved.chunk_tokens, resolved.overlapped) == (512, True)
    assert resolved.version == "0.5.23"
    assert resolved.max_model_tokens == 62 * 16 - 16 - 1


def test_unlimited_steps_and_a_plain_schedule_are_told_apart() -> None:
    """SGLang writes -1 for a prefill in one step."""
    info = INFO | {"chunked_prefill_size": -1, "disable_overlap_schedule": True}
    resolved = sglang_description.with_cache(NAMELESS, info)
    assert resolved.chunk_tokens is None
    assert not resolved.overlapped


@pytest.mark.parametrize(
    "other",
    [
        {"version": "0.5.9"},
        {"version": None},
        {"radix_eviction_policy": "lfu"},
        {"schedule_policy": "lpm"},
        {"enable_hierarchical_cache": True},
        {"speculative_algorithm": "EAGLE"},
        {"dp_size": 2},
        {"max_total_num_tokens": None},
        {"internal_states": [{"memory_usage": {"token_capacity_swa": 800}}]},
    ],
)
def test_other_rules_leave_the_cache_unknown(other: dict[str, object]) -> None:
    """An older version, another policy, a second tier, several caches, a sliding window."""
    assert sglang_description.with_cache(NAMELESS, INFO | other).prefix_cache is None


@pytest.mark.parametrize(
    ("version", "kind"),
    [("0.5.23.post1", "radix"), ("0.6.0rc1", "radix"), ("1.0", "radix"), ("0.5.22", None)],
)
def test_versions_from_the_one_that_was_read_on_are_followed(
    version: str, kind: str | None
) -> None:
    """Numbers are compared as numbers."""
    resolved = sglang_description.with_cache(NAMELESS, INFO | {"version": version})
    assert resolved.prefix_cache == kind


def test_a_cache_that_is_off_is_known_to_be_off() -> None:
    """Then nothing is cached, whatever else is set."""
    resolved = sglang_description.with_cache(NAMELESS, INFO | {"disable_radix_cache": True})
    assert resolved.prefix_caching is False


def test_vllm_s_answer_at_the_same_path_is_not_sglang_s() -> None:
    """Both have a `/server_info`."""
    assert sglang_description.is_sglang(INFO)
    assert not sglang_description.is_sglang({"vllm_config": {"cache_config": {}}})

"""KV blocks in host memory: against a slow re-telling, and by hand."""

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.deployments.deployment import deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.not_modelled import NotModelledError
from phasewise_analyzer.engine.runs.simulation import simulate
from phasewise_analyzer.engine.schedulers.host_tier import HostMemory, HostTier
from phasewise_analyzer.engine.schedulers.offloading import OffloadingConfig
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.transfers import Link
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.shapes import model_config
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.slow_host import SlowOffloader, serve
from tests.analyzer.engine.test_simulation import traffic

TIMES = MadeUpTimes()
LINK = Link(bytes_s=1024.0, latency_s=1 / 64)
"""a block of 16 bytes takes 1/64 s, and a copy of one 2/64 s: sums are exact"""


def memory(blocks: int) -> HostMemory:
    """Return so many blocks behind the link."""
    return HostMemory(blocks, 16.0, LINK)


def offloading(config: SchedulerConfig, blocks: int) -> OffloadingConfig:
    """Return an engine's flags with so many blocks in host memory."""
    return OffloadingConfig(**asdict(config), host=memory(blocks))


@settings(max_examples=400, deadline=None)
@given(traffic(), st.integers(1, 90))
def test_it_agrees_with_a_stepwise_engine(
    drawn: tuple[list[Request], SchedulerConfig, int], host_blocks: int
) -> None:
    """Jumps change nothing: times, cached tokens by tier and preemptions are those of steps."""
    requests, config, blocks = drawn
    blocks = 12 + blocks % 8  # small, so that most runs load something
    slow = SlowOffloader(config, blocks, memory(host_blocks))
    calls = serve(slow, requests, TIMES.step_s)
    found = simulate(requests, TIMES, offloading(config, host_blocks), blocks=blocks)
    assert [
        (one.first_s, one.last_s, one.cached_tokens, one.host_cached_tokens) for one in found.served
    ] == [(one.first, one.last, one.cached, slow.loaded.get(one, 0)) for one in calls]
    assert found.preemptions == slow.preemptions


def prompt(family: str, tokens: int, size: int) -> tuple[tuple[str, int], ...]:
    """Return the ids of a prompt's full blocks."""
    return tuple((family, block) for block in range(tokens // size))


def test_what_the_gpu_has_lost_is_loaded_and_not_computed() -> None:
    """The second prompt evicts the first; sent again, 3 blocks come from the host in 4/64 s."""
    config = SchedulerConfig(block_size=4)
    requests = [
        Request(0.0, 13, 1, prompt("a", 13, 4)),
        Request(10.0, 13, 1, prompt("b", 13, 4)),
        Request(20.0, 13, 1, prompt("a", 13, 4)),
    ]
    lost = simulate(requests, TIMES, config, blocks=4)
    kept = simulate(requests, TIMES, offloading(config, 100), blocks=4)
    assert [one.cached_tokens for one in lost.served] == [0, 0, 0]
    assert [(one.cached_tokens, one.host_cached_tokens) for one in kept.served] == [
        (0, 0),
        (0, 0),
        (12, 12),
    ]
    # the copy of 3 blocks, and then a step of one token behind 12
    assert kept.served[2].ttft_s == pytest.approx(4 / 64 + (16 + 3 + 12) / 1024)
    assert kept.served[2].scheduled_s == pytest.approx(20 + 4 / 64)


def test_decodes_go_on_while_blocks_are_loaded() -> None:
    """A running sequence decodes as if nobody were loading, until the load has ended."""
    config = offloading(SchedulerConfig(block_size=4, async_scheduling=False), 100)
    requests = [
        Request(0.0, 13, 1, prompt("a", 13, 4)),
        Request(5.0, 17, 1, prompt("b", 17, 4)),
        Request(10.0, 1, 20, ()),
        Request(10.01, 13, 1, prompt("a", 13, 4)),
    ]
    found = simulate(requests, TIMES, config, blocks=12)
    assert found.served[3].host_cached_tokens == 0  # the GPU still has it
    found = simulate(requests, TIMES, config, blocks=6)
    assert found.served[3].host_cached_tokens == 8
    alone = simulate([requests[2]], TIMES, config, blocks=6).served[0]
    until_loaded = found.served[3].scheduled_s
    assert until_loaded is not None
    assert alone.first_s == found.served[2].first_s < until_loaded


def test_a_prompt_that_is_loaded_whole_computes_its_last_token() -> None:
    """Twelve tokens are three blocks: all come from the host, and one token is computed again."""
    config = offloading(SchedulerConfig(block_size=4), 100)
    requests = [
        Request(0.0, 12, 1, prompt("a", 12, 4)),
        Request(10.0, 13, 1, prompt("b", 13, 4)),
        Request(20.0, 12, 1, prompt("a", 12, 4)),
    ]
    found = simulate(requests, TIMES, config, blocks=4)
    assert found.served[2].cached_tokens == 12
    assert found.served[2].ttft_s == pytest.approx(4 / 64 + (16 + 3 + 11) / 1024)


def test_the_least_recently_used_block_goes_first() -> None:
    """Of three blocks the one that was used again stays; what is being loaded stays, too."""
    tier = HostTier(3)
    assert tier.offer([1, 2, 3])
    tier.use([1])
    assert tier.offer([4])
    assert tier.hits([1, 3, 2]) == [1, 3]
    tier.load([1, 3])
    assert not tier.offer([5, 6])
    assert tier.hits([4]) == [4]
    tier.loaded([1, 3])
    assert tier.offer([5, 6])


def test_the_flag_is_the_memory_of_all_ranks() -> None:
    """32 GiB of Llama-3.1-8B are 16,384 blocks of 16 tokens and 2 MiB, on one GPU and on two."""
    shape, gpu = model_config.known("llama-3.1-8b"), gpus.find("h100-sxm")
    for tp in (1, 2):
        config = deploy(shape, gpu, {"kv-offloading-size": "32"}, tp=tp).config
        assert isinstance(config, OffloadingConfig)
        assert config.host.blocks == 16_384
        assert config.host.block_bytes == 2**21 / tp
        assert config.host.link.bytes_s == gpu.host_bytes_s


@pytest.mark.parametrize(
    ("flags", "model", "error", "words"),
    [
        ({"kv-offloading-backend": "lmcache"}, "llama-3.1-8b", NotModelledError, "lmcache"),
        ({}, "gpt-oss-20b", NotModelledError, "a window or a state"),
        ({"kv-offloading-size": "none"}, "llama-3.1-8b", UsageError, "a number above 0"),
        ({"kv-offloading-size": "0.0001"}, "llama-3.1-8b", UsageError, "hold no KV block"),
    ],
)
def test_what_is_not_modelled_is_refused(
    flags: dict[str, str], model: str, error: type[Exception], words: str
) -> None:
    """Another backend, layers whose KV does not grow, and no size."""
    with pytest.raises(error, match=words):
        deploy(
            model_config.known(model),
            gpus.find("h100-sxm"),
            {"kv-offloading-size": "32"} | flags,
        )

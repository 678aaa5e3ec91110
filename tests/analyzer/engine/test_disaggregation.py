"""Prefill and decode on engines of their own: against a slow re-telling, and by hand."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise_analyzer.engine.deployments.deployment import Deployment, deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.runs.closed_loop import serve_sessions
from phasewise_analyzer.engine.runs.disaggregation import DisaggregatedEngines, KvCopy, kv_copy
from phasewise_analyzer.engine.runs.simulation import Outcome, serve_stream
from phasewise_analyzer.engine.schedulers.request import Request
from phasewise_analyzer.engine.schedulers.transfers import Link
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.step_times.batch import Basis
from phasewise_store.errors import UsageError

from tests.analyzer.engine.made_up_times import MadeUpTimes
from tests.analyzer.engine.slow_phases import SlowDecode, SlowPrefill, serve
from tests.analyzer.engine.test_simulation import traffic

TIMES = MadeUpTimes()
COPY = KvCopy(Link(bytes_s=1024.0, latency_s=1 / 64), block_bytes=16.0)
"""a block takes 1/64 s, and a copy of one 2/64 s: sums are exact"""


def engines(
    config: SchedulerConfig,
    blocks: int | None,
    prefill: int = 1,
    decode: int = 1,
    *,
    copy: KvCopy = COPY,
) -> DisaggregatedEngines:
    """Start engines with made-up times."""
    engine = Deployment("made up", TIMES, config, blocks)
    return DisaggregatedEngines(engine, prefill=prefill, decode=decode, copy=copy)


def served(requests: list[Request], config: SchedulerConfig, blocks: int | None = None) -> Outcome:
    """Serve requests on one engine of each kind."""
    return serve_stream(requests, engines(config, blocks))


@settings(max_examples=400, deadline=None)
@given(traffic(), st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2)]))
def test_it_agrees_with_one_that_goes_from_moment_to_moment(
    drawn: tuple[list[Request], SchedulerConfig, int], counts: tuple[int, int]
) -> None:
    """Jumps and engines that run ahead change nothing: every time and cached token is the same."""
    requests, config, blocks = drawn
    blocks = 12 + blocks % 8  # few, and slow copies, so that prefill has to wait for room
    slow = KvCopy(Link(bytes_s=64.0, latency_s=1 / 64), block_bytes=16.0)
    prefill = [SlowPrefill(config, blocks) for _ in range(counts[0])]
    decode = [SlowDecode(config, blocks, slow) for _ in range(counts[1])]
    pairs = serve(prefill, decode, requests, TIMES.step_s)
    found = serve_stream(requests, engines(config, blocks, *counts, copy=slow))
    assert [(one.first_s, one.last_s, one.cached_tokens) for one in found.served] == [
        (written.first, written.last, read.cached) for read, written in pairs
    ]
    assert found.preemptions == sum(one.preemptions for one in [*prefill, *decode])


def test_the_first_token_waits_for_prefill_copy_and_a_step() -> None:
    """8 tokens are read, two blocks copied, and the last token computed again."""
    config = SchedulerConfig(block_size=4)
    (one,) = served([Request(0.0, 8, 3, ())], config).served
    prefill, copy, step = (16 + 24) / 1024, 3 / 64, (16 + 3 + 7) / 1024
    assert one.first_s == prefill + copy + step
    # two more tokens, at contexts of 9 and 10
    assert one.last_s == one.first_s + (16 + 1 + 9 + 9) / 1024 + (16 + 1 + 10 + 10) / 1024
    assert one.output_tokens == 3
    assert one.prefill_s == prefill + step


def test_decodes_are_never_beside_prefill() -> None:
    """A long prompt that arrives meanwhile does not change the decode steps of another call."""
    config = SchedulerConfig(block_size=4)
    first = Request(0.0, 8, 40, ())
    alone = served([first], config).served[0]
    beside = served([first, Request(alone.first_s + 0.01, 400, 1, ())], config).served[0]
    assert beside.first_s == alone.first_s
    steps = alone.last_s - alone.first_s
    # the only step they share computes the last token of the second prompt
    assert beside.last_s - beside.first_s == pytest.approx(steps, abs=(16 + 3 + 400) / 1024)


def test_blocks_stay_on_the_prefill_engine_until_they_are_copied() -> None:
    """With room for one prompt the second one is read when the copy of the first has ended."""
    config = SchedulerConfig(block_size=4, async_scheduling=False)
    found = served([Request(0.0, 16, 2, ()), Request(0.0, 16, 2, ())], config, blocks=5)
    prefill, copy = (16 + 48) / 1024, 5 / 64
    assert found.served[1].scheduled_s == prefill + copy


def test_sessions_run_on_them_too() -> None:
    """In a closed loop the next call is sent when the last one has got its last token."""
    fleet = engines(SchedulerConfig(block_size=4), None, 2, 2)
    sessions = [[Request(0.0, 8, 3, ()), Request(2.0, 8, 1, ())] for _ in range(3)]
    found = serve_sessions(sessions, fleet, at_once=2)
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert second.arrival_s == first.last_s + 2
    assert found[4].arrival_s == min(found[1].last_s, found[3].last_s)


def test_a_copy_has_the_bytes_of_the_model_and_the_link_of_the_gpu() -> None:
    """16 tokens of Llama-3.1-8B in BF16 are 2 MiB, half of them on each of two GPUs."""
    gpu = gpus.find("h100-sxm")
    for tp in (1, 2):
        engine = deploy(model_config.known("llama-3.1-8b"), gpu, {}, tp=tp)
        copy = kv_copy(engine)
        assert copy.block_bytes == 2**21 / tp
        assert copy.link.bytes_s == gpu.link_bytes_s
        assert kv_copy(engine, 50e9).link.bytes_s == 50e9


def test_what_cannot_be_copied_is_refused() -> None:
    """Layers with windows, KV offload, and engines of which the KV is not known."""
    gpu = gpus.find("h100-sxm")
    window = deploy(model_config.known("gpt-oss-20b"), gpu, {})
    offload = deploy(model_config.known("llama-3.1-8b"), gpu, {"kv-offloading-size": "8"})
    unknown = replace(window, kv=None)
    for engine in (window, offload, unknown):
        with pytest.raises(UsageError, match="does not disaggregate"):
            kv_copy(engine)
    assert window.times.basis == Basis("roofline", window.times.basis.source, None)

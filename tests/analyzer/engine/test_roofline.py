"""The roofline prior, by hand and by its invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.shapes import formats, model_config
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.roofline import DENSE_OPS, Efficiency, Roofline
from phasewise_analyzer.engine.step_times.step_terms import Collectives

H100 = gpus.find("h100")
LLAMA = model_config.known("llama-3.1-8b")
PRIOR = Efficiency()
MFU, MBU = PRIOR.mfu, PRIOR.mbu
HOST_S = 32 * DENSE_OPS * PRIOR.op_s + PRIOR.sequence_s
"""of a step with one sequence"""
BF16 = formats.weights("bf16")
TIMES = Roofline(H100, LLAMA, BF16, formats.cache("bf16"))


def test_one_decode_reads_the_weights_and_its_cache() -> None:
    """A lone sequence of 1,000 tokens: weights but the embedding, and 1,000 x 128 KiB."""
    read = LLAMA.weight_bytes(BF16) - 2 * LLAMA.embedding + 1000 * 32 * 4096
    step = TIMES.step_s(Batch(decodes=1, context=1000, longest=1000))
    head = 2 * LLAMA.embedding / (MFU * 989e12)
    assert step == pytest.approx(read / (MBU * 3.35e12) + head + HOST_S, rel=1e-9)


def test_a_long_prompt_computes() -> None:
    """8,192 tokens: two FLOPs per weight and token, and half of the square in attention."""
    step = TIMES.step_s(Batch((Chunk(8192, 0),)))
    linear = 2 * 8192 * LLAMA.active_linear
    attention = 32 * 4 * 32 * 128 * 8192 * 8193 / 2
    head = 2 * LLAMA.embedding
    compute = (linear + attention + head) / (MFU * 989e12)
    cache = 8192 * 32 * 4096 / (MBU * 3.35e12)
    assert step == pytest.approx(compute + cache + HOST_S, rel=1e-9)


@given(st.sampled_from(model_config.names()), st.integers(1, 300), st.integers(1, 20_000))
def test_a_run_of_decodes_is_its_steps_one_by_one(name: str, decodes: int, mean: int) -> None:
    """For every shape, `decode_run_s` gives what `step_s` gives for each of the steps."""
    times = Roofline(H100, model_config.known(name), BF16, formats.cache("fp8"))
    run = times.decode_run_s(Batch(decodes=decodes, context=decodes * mean), 5)
    steps = [
        times.step_s(Batch(decodes=decodes, context=decodes * (mean + later))) for later in range(5)
    ]
    assert run == pytest.approx(np.array(steps), rel=1e-12)


def test_cached_tokens_are_cheap_but_not_free() -> None:
    """512 tokens after 16k cached ones take longer than alone, and far less than 16k more."""
    alone = TIMES.step_s(Batch((Chunk(512, 0),)))
    cached = TIMES.step_s(Batch((Chunk(512, 16_384),)))
    whole = TIMES.step_s(Batch((Chunk(16_896, 0),)))
    assert 1.3 * alone < cached < whole / 10


def test_an_all_reduce_moves_the_activations_twice_over_a_ring() -> None:
    """Two ranks, 64 reductions of 128 tokens x 4,096 values, on 450 GB/s and 10 us."""
    ring = Collectives(H100, LLAMA, 2).seconds(Batch(decodes=128))
    assert ring == pytest.approx(64 * (128 * 4096 * 2 / 450e9 + 10e-6), rel=1e-12)
    assert Collectives(H100, LLAMA, 1).seconds(Batch(decodes=128)) == 0


def test_data_parallel_ranks_exchange_all_tokens_at_each_mixture() -> None:
    """Two ranks gather and scatter 100 + 28 tokens of 2,048 values in each of 48 layers."""
    shape = model_config.known("qwen3-30b-a3b")
    exchange = Collectives(H100, shape, 1, 2).seconds(Batch(decodes=100, elsewhere=28))
    assert exchange == pytest.approx(48 * (128 * 2048 * 2 / 450e9 + 10e-6), rel=1e-12)


def test_data_parallel_ranks_share_the_experts() -> None:
    """A step of 400 decodes on each rank reads half of the experts that one GPU alone would."""
    shape = model_config.known("qwen3-30b-a3b")
    alone = Roofline(H100, shape, BF16, formats.cache("bf16"))
    shared = Roofline(H100, shape, BF16, formats.cache("bf16"), dp=2)
    experts = sum(one.count * one.expert for one in shape.experts()) * 2
    batch = Batch(decodes=400, context=40_000, longest=100)
    both = Batch(decodes=400, context=40_000, longest=100, elsewhere=400)
    saved = alone.step_s(batch) - shared.step_s(both)
    assert saved == pytest.approx(experts / 2 / (MBU * 3.35e12), rel=1e-3)

"""Step times from kernel tables: sums by hand, interpolation, and tables that lack something."""

from pathlib import Path

import numpy as np
import pytest
from phasewise_analyzer.engine.shapes import model_config
from phasewise_analyzer.engine.step_times.batch import Batch, Chunk
from phasewise_analyzer.engine.step_times.kernel_tables import KernelTables
from phasewise_analyzer.engine.step_times.measured_curve import Curve
from phasewise_store.errors import UsageError

LAYERS = 32
DENSE = ("embedding", "final_layernorm", "layernorm", "qkv_proj", "rotary_emb", "o_proj")
MLP = ("gate_up_proj", "act_fn", "down_proj")


def write(folder: Path, *, without: str = "") -> None:
    """Write tables in which a dense layer takes 1 us per token and attention a made-up sum."""
    folder.mkdir(parents=True, exist_ok=True)
    dense = [
        f"{name},{tokens},{tokens}" for name in DENSE + MLP if name != without for tokens in (1, 9)
    ]
    (folder / "dense.csv").write_text("\n".join(["layer,tokens,time_us", *dense]))
    heads = [f"{name},{count},10" for name in ("lm_head", "sampler") for count in (1, 9)]
    (folder / "per_sequence.csv").write_text("\n".join(["layer,sequences,time_us", *heads]))
    attention = ["prefill_chunk,kv_prefill,n_decode,kv_decode,time_us"]
    for chunk in (0, 4, 8):
        for cached in (0, 16) if chunk else (0,):
            for decodes in (0, 1, 8):
                for context in (16, 32) if decodes else (0,):
                    if chunk or decodes:
                        time = chunk * (1 + cached) + decodes * context / 16
                        attention.append(f"{chunk},{cached},{decodes},{context},{time}")
    (folder / "attention.csv").write_text("\n".join(attention))


@pytest.fixture
def tables(tmp_path: Path) -> KernelTables:
    """Give tables for Llama-3.1-8B, which has 32 layers."""
    write(tmp_path / "tp1")
    return KernelTables(tmp_path / "tp1", model_config.known("llama-3.1-8b"))


def dense_us(tokens: int) -> int:
    """Sum the dense layers: 2 once; 2 norms, 3 around attention and 3 of the MLP per layer."""
    return tokens * (2 + LAYERS * 8)


def test_a_decode_step_is_the_sum_of_its_layers(tables: KernelTables) -> None:
    """Eight sequences of 16 tokens: dense layers, 32 attentions of 8 us, head and sampler."""
    step = tables.step_s(Batch(decodes=8, context=8 * 16, longest=16))
    assert step == pytest.approx((dense_us(8) + LAYERS * 8 + 20) * 1e-6, rel=1e-12)


def test_a_run_of_decodes_is_its_steps_one_by_one(tables: KernelTables) -> None:
    """`decode_run_s` gives what `step_s` gives for each of the steps, beyond the table too."""
    first = Batch(decodes=3, context=3 * 10, longest=20)
    steps = [
        tables.step_s(Batch(decodes=3, context=30 + 3 * later, longest=20 + later))
        for later in range(60)
    ]
    assert tables.decode_run_s(first, 60) == pytest.approx(np.array(steps), rel=1e-12)


def test_chunks_of_one_step_share_its_dense_layers(tables: KernelTables) -> None:
    """Two chunks: one pass of six tokens, the larger beside the decode, the other alone."""
    step = tables.step_s(Batch((Chunk(4, 16), Chunk(1, 0)), decodes=1, context=16, longest=16))
    beside = 4 * 17 + 1
    alone = 0.75 * 1 + 0.25 * 4  # a quarter of the way from no chunk (1 us) to one of 4 tokens
    attention = LAYERS * (beside + alone)
    assert step == pytest.approx((dense_us(6) + attention + 20) * 1e-6, rel=1e-12)


def test_unlike_lengths_move_attention_towards_the_longest(tmp_path: Path) -> None:
    """A skew of 0.5 measured by the profiler is half way between mean and longest context."""
    write(tmp_path / "tp1")
    (tmp_path / "meta.yaml").write_text("skew_fit: {per_tp: {1: {alpha_default: 0.5}}}")
    tables = KernelTables(tmp_path / "tp1", model_config.known("llama-3.1-8b"))
    step = tables.step_s(Batch(decodes=8, context=8 * 16, longest=32))
    assert step == pytest.approx((dense_us(8) + LAYERS * 12 + 20) * 1e-6, rel=1e-12)


def test_beyond_the_table_a_curve_goes_on_along_its_last_two_points() -> None:
    """10 and 30 at 1 and 2 give 50 at 3; below the first point it is the first."""
    curve = Curve.of([(2, 30), (1, 10)])
    assert [curve.value(at) for at in (0, 1, 1.5, 3)] == [10, 10, 20, 50]


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    """A table without `o_proj` cannot time a step; the error says what remains possible."""
    write(tmp_path, without="o_proj")
    with pytest.raises(UsageError, match=r"lack `o_proj` in dense.csv.*the roofline is used"):
        KernelTables(tmp_path, model_config.known("llama-3.1-8b"))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    """A folder without `attention.csv` is refused."""
    write(tmp_path)
    (tmp_path / "attention.csv").unlink()
    with pytest.raises(UsageError, match=r"attention.csv` is missing"):
        KernelTables(tmp_path, model_config.known("llama-3.1-8b"))


def test_ranks_share_the_tokens_and_the_active_experts(tmp_path: Path) -> None:
    """Two data-parallel ranks of 8 tokens each: 8 tokens' work on half of the active experts.

    The experts' table lies with those of one tensor-parallel rank, and counts whole experts.
    """
    shape = model_config.known("qwen3-30b-a3b")
    experts = ["tokens,activated_experts,time_us"]
    experts += [
        f"{tokens},{active},{tokens + 10 * active}" for tokens in (1, 99) for active in (1, 128)
    ]
    for folder in (tmp_path / "tp1", tmp_path / "tp2"):
        write(folder)
    (tmp_path / "tp1" / "moe.csv").write_text("\n".join(experts))
    active = next(shape.experts()).distinct(16)
    alone = KernelTables(tmp_path / "tp1", shape).step_s(Batch(decodes=16, context=160))
    rest = alone - len(shape.layers) * (16 + 10 * active) * 1e-6
    both = KernelTables(tmp_path / "tp1", shape, dp=2)
    cut = KernelTables(tmp_path / "tp2", shape, tp=2)
    layers = len(shape.layers)
    found = cut.step_s(Batch(decodes=16, context=160))
    assert found == pytest.approx(rest + layers * (8 + 10 * active / 2) * 1e-6, rel=1e-12)
    eight = Batch(decodes=8, context=80, elsewhere=8)
    own = both.step_s(eight) - KernelTables(tmp_path / "tp2", shape, tp=2).step_s(
        Batch(decodes=8, context=80)
    )
    half = next(shape.experts()).distinct(8)
    assert own == pytest.approx(layers * (4 + 5 * (active - half)) * 1e-6, rel=1e-9)

"""Shapes of published models: parameters, KV cache, and what a formula gets wrong."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from phasewise_analyzer.engine.shapes import formats, model_config
from phasewise_store.errors import UsageError

CONFIGS = (
    Path(__file__).parents[3]
    / ".engines"
    / "model-configs"
    / "aiconfigurator_core"
    / "model_configs"
)
BF16 = formats.cache("bf16")
KIB, MIB = 1024, 2**20

PUBLISHED = [
    # config of the wheel, parameters, KiB of KV per token, MiB per sequence
    ("Qwen--Qwen3-0.6B", 596_049_920, 112, 0),
    ("Qwen--Qwen3-1.7B", 1_720_574_976, 112, 0),
    ("Qwen--Qwen3-8B", 8_190_735_360, 144, 0),
    ("Qwen--Qwen3-32B", 32_762_123_264, 256, 0),
    ("Qwen--Qwen3-30B-A3B", 30_532_122_624, 96, 0),
    ("Qwen--Qwen3-235B-A22B", 235_093_634_560, 188, 0),
    ("Qwen--Qwen3-Coder-480B-A35B-Instruct", 480_154_875_392, 248, 0),
    ("Qwen--Qwen3.5-27B", 26_895_998_464, 64, 146.8),
    ("Qwen--Qwen3.5-35B-A3B", 34_660_610_688, 20, 61.4),
    ("Qwen--Qwen3.5-122B-A10B", 122_111_526_912, 24, 146.5),
    ("Qwen--Qwen3.5-397B-A17B", 396_346_350_336, 30, 183.2),
    ("meta-llama--Meta-Llama-3.1-8B", 8_030_261_248, 128, 0),
    ("meta-llama--Meta-Llama-3.1-70B", 70_553_706_496, 320, 0),
    ("meta-llama--Meta-Llama-3.1-405B", 405_853_388_800, 504, 0),
    ("meta-llama--Llama-4-Scout-17B-16E-Instruct", 107_769_861_120, 48, 1152),
    ("meta-llama--Llama-4-Maverick-17B-128E-Instruct", 400_711_848_960, 48, 1152),
    ("mistralai--Mixtral-8x7B-v0.1", 46_702_792_704, 128, 0),
    ("mistralai--Mixtral-8x22B-v0.1", 140_620_634_112, 224, 0),
    ("deepseek-ai--DeepSeek-V3", 671_026_404_352, 68.625, 0),
    ("deepseek-ai--DeepSeek-V3.2", 671_877_929_216, 68.625 + 61 * 132 / 1024, 0),
    ("moonshotai--Kimi-K2-Instruct", 1_026_408_232_448, 68.625, 0),
    ("zai-org--GLM-5", 743_911_199_232, 87.75 + 78 * 132 / 1024, 0),
    ("zai-org--GLM-5.2", 743_377_000_704, 87.75 + 21 * 132 / 1024, 0),
    ("openai--gpt-oss-20b", 20_914_757_184, 24, 3),
    ("openai--gpt-oss-120b", 116_829_156_672, 36, 4.5),
    ("google--gemma-4-26B-A4B", 25_233_141_760, 20, 200),
    ("MiniMaxAI--MiniMax-M2.5", 228_689_748_992, 248, 0),
    ("XiaomiMiMo--MiMo-V2-Flash", 308_778_768_832, 22.5, 24.4),
    ("nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 31_577_937_344, 6, 46.8),
    ("nvidia--Nemotron-H-56B-Base-8K", 56_324_350_464, 40, 438.3),
    ("nvidia--Llama-3_3-Nemotron-Super-49B-v1", 49_867_145_216, 196, 0),
]
"""Parameters: modules of transformers 5.19 on the meta device. It has no Kimi K2 and no Nemotron
Super: what we compute of those two is kept, so that a change is seen. KV: vLLM's page per token and
layer."""


def _config(name: str) -> Mapping[str, object]:
    path = CONFIGS / f"{name}_config.json"
    if not path.exists():
        pytest.skip(f"needs `{CONFIGS.name}`; install it with:  make model-configs")
    config: Mapping[str, object] = json.loads(path.read_text("utf-8"))
    return config


@pytest.mark.engine
@pytest.mark.parametrize(("name", "parameters", "kv_kib", "sequence_mib"), PUBLISHED)
def test_a_published_model_has_its_size(
    name: str, parameters: int, kv_kib: float, sequence_mib: float
) -> None:
    """Parameters agree with the model's modules, KV bytes with the engine's pages."""
    shape = model_config.read(name, _config(name))
    assert shape.parameters == pytest.approx(parameters, rel=1e-6)
    assert shape.kv_token_bytes(BF16) == pytest.approx(kv_kib * KIB, rel=1e-9)
    assert shape.sequence_bytes(BF16) == pytest.approx(sequence_mib * MIB, rel=2e-3)


@pytest.mark.engine
@pytest.mark.parametrize("name", ["deepseek-ai--DeepSeek-V4-Flash", "moonshotai--Kimi-K3"])
def test_an_unknown_architecture_is_refused_by_name(name: str) -> None:
    """An architecture without a reader is named in the error, with those that have one."""
    config = _config(name)
    with pytest.raises(UsageError, match=r"unknown architecture `(deepseek_v4|kimi_linear)`"):
        model_config.read(name, config)


def test_every_shipped_shape_is_read() -> None:
    """Each shipped config has a reader and a size in the range of its name."""
    assert len(model_config.names()) >= 25
    for name in model_config.names():
        assert model_config.known(name).parameters > 5e8


def test_an_unknown_shape_lists_the_known_ones() -> None:
    """A name that is neither shipped nor a path is refused with the list of names."""
    with pytest.raises(UsageError, match=r"unknown model shape `llama-9`; known: .*llama-3.1-8b"):
        model_config.find("llama-9")


def test_a_config_is_read_from_its_folder(tmp_path: Path) -> None:
    """The folder of a checkpoint stands for the config.json in it."""
    config = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 100,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = model_config.find(str(tmp_path))
    # embedding; per layer q, k, v, o, an MLP and two norms; the last norm
    assert shape.parameters == 6400 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64


def test_a_head_can_be_larger_than_hidden_over_heads() -> None:
    """Qwen3-32B names heads of 128 where hidden / heads is 80."""
    assert model_config.known("qwen3-32b").kv_token_bytes(BF16) == 64 * 2 * 8 * 128 * 2


def test_grouped_heads_divide_the_cache_but_not_the_flops() -> None:
    """Llama-3.1-8B: 8 KV heads in the cache, 32 heads in the attention FLOPs."""
    shape = model_config.known("llama-3.1-8b")
    assert shape.kv_token_bytes(BF16) == 32 * 2 * 8 * 128 * 2
    assert shape.pair_flops(absorbed=False) == 32 * 4 * 32 * 128


def test_a_switched_off_window_does_not_bound_the_cache() -> None:
    """Qwen configs name a sliding window that `use_sliding_window: false` switches off."""
    config = json.loads(
        '{"model_type": "qwen2", "hidden_size": 64, "intermediate_size": 64, "vocab_size": 10,'
        '"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,'
        '"sliding_window": 128, "use_sliding_window": false, "max_window_layers": 1}'
    )
    assert model_config.read("off", config).kv_token_bytes(BF16) == 2 * 2 * 2 * 16 * 2
    config["use_sliding_window"] = True
    shape = model_config.read("on", config)
    assert shape.kv_token_bytes(BF16) == 2 * 2 * 16 * 2  # the layer below `max_window_layers`
    assert shape.sequence_bytes(BF16) == 128 * 2 * 2 * 16 * 2


def test_a_window_holds_no_more_than_the_context() -> None:
    """gpt-oss-20b: 12 full layers grow, 12 sliding ones stop at 128 tokens."""
    shape = model_config.known("gpt-oss-20b")
    token = 2 * 8 * 64 * 2
    assert shape.held_bytes(100, BF16) == 24 * 100 * token
    assert shape.held_bytes(1000, BF16) == 12 * 1000 * token + 12 * 128 * token


def test_kv_heads_are_replicated_beyond_their_number() -> None:
    """With 4 KV heads, 8 ranks hold one head each: twice the cache in total."""
    shape = model_config.known("qwen3-30b-a3b")
    assert shape.kv_token_bytes(BF16, tp=4) == shape.kv_token_bytes(BF16) / 4
    assert shape.kv_token_bytes(BF16, tp=8) == shape.kv_token_bytes(BF16) / 4


def test_every_rank_holds_the_whole_latent_cache() -> None:
    """MLA has one compressed vector per token, which tensor parallelism does not divide."""
    shape = model_config.known("deepseek-v3")
    assert shape.kv_token_bytes(BF16, tp=8) == shape.kv_token_bytes(BF16)


def test_the_packed_latent_cache_has_656_bytes() -> None:
    """`fp8_ds_mla` has a fixed layout; an indexer adds 132 bytes per layer."""
    cache = formats.cache("fp8_ds_mla")
    assert model_config.known("deepseek-v3").kv_token_bytes(cache) == 61 * 656
    assert model_config.known("deepseek-v3.2").kv_token_bytes(cache) == 61 * (656 + 132)


def test_latent_decode_takes_more_flops_per_token_than_prefill() -> None:
    """Absorbed MLA works on 512 + 64 values for scores, 512 for values, instead of 192 and 128."""
    shape = model_config.known("deepseek-v3")
    assert shape.pair_flops(absorbed=False) == 61 * 2 * 128 * (128 + 64 + 128)
    assert shape.pair_flops(absorbed=True) == 61 * 2 * 128 * (512 + 64 + 512)


def test_an_mlp_without_a_gate_has_two_matrices() -> None:
    """Nemotron-3-Nano has relu² experts: 31.6 B parameters, where three matrices give 46 B."""
    assert model_config.known("nemotron-3-nano-30b-a3b").parameters == pytest.approx(
        31.58e9, rel=1e-3
    )


def test_few_tokens_read_few_experts() -> None:
    """One token reads the active experts, 64 tokens nearly all of them (uniform routing)."""
    shape = model_config.known("qwen3-30b-a3b")
    bf16 = formats.weights("bf16")
    every = shape.read_bytes(bf16, tokens=None)
    assert shape.read_bytes(bf16, tokens=1) == pytest.approx(2 * shape.active, rel=1e-3)
    assert 0.97 * every < shape.read_bytes(bf16, tokens=64) < every


def test_an_fp8_model_keeps_its_embedding_and_head() -> None:
    """FP8 halves linear layers; embedding, head and norms stay in BF16."""
    shape = model_config.known("llama-3.1-8b")
    embeddings = 2 * 128_256 * 4096
    norms = 65 * 4096
    linear = shape.parameters - embeddings - norms
    assert shape.weight_bytes(formats.weights("fp8")) == linear + 2 * (embeddings + norms)
    assert shape.weight_bytes(formats.weights("bf16")) == 2 * shape.parameters


def test_gpt_oss_is_published_in_mxfp4() -> None:
    """Only the experts are in 4.25 bits: 13.8 GB for gpt-oss-20b, as published."""
    shape = model_config.known("gpt-oss-20b")
    assert shape.native_format == "mxfp4"
    assert shape.weight_bytes(formats.weights("mxfp4")) == pytest.approx(13.76e9, rel=0.01)


def test_tensor_parallel_ranks_share_the_weights() -> None:
    """Two ranks of Llama-3.1-8B hold half of the projections each, and every norm."""
    shape = model_config.known("llama-3.1-8b")
    bf16 = formats.weights("bf16")
    norms = 2 * 65 * 4096
    assert shape.weight_bytes(bf16, tp=2) == (shape.weight_bytes(bf16) - norms) / 2 + norms


def test_an_unknown_format_lists_the_known_ones() -> None:
    """A misspelled format is refused."""
    with pytest.raises(UsageError, match="unknown weight format `fp7`; known: bf16"):
        formats.weights("fp7")

"""SGLang on given GPUs: from a shape, a GPU and SGLang's flags to what a simulation needs.

The defaults are those of SGLang 0.5.23 (srt/arg_groups/memory_hook, kv_cache_configurator).
"""

from collections.abc import Mapping
from pathlib import Path

from phasewise_analyzer.engine.deployments.deployment import (
    Deployment,
    check_heads,
    kv_blocks,
    step_times,
    weight_format,
)
from phasewise_analyzer.engine.deployments.sglang_flags import ALIASES, scheduler_config
from phasewise_analyzer.engine.engine_flags import Flags
from phasewise_analyzer.engine.hardware.gpus import Gpu
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_analyzer.engine.shapes import formats
from phasewise_analyzer.engine.shapes.shape import Shape

MIB = 2**20
CHUNKS = ((20, 2048), (35, 4096), (60, 4096), (160, 8192))
"""GiB of GPU memory below which `chunked-prefill-size` is so much"""
LARGEST_CHUNK = 16_384
GRAPHS = ((20, 8, 8), (35, 48, 160), (60, 32, 160), (160, 256, 512))
"""GiB of GPU memory below which CUDA graphs are captured up to so many sequences: with less than
four tensor-parallel ranks, and with more"""
LARGEST_GRAPHS = 512
MOST_RUNNING = 2048
"""requests that run at once by default, for models with a long context"""


def deploy(
    shape: Shape,
    gpu: Gpu,
    flags: Mapping[str, str],
    *,
    tp: int = 1,
    kernels: Path | None = None,
    blocks: int | None = None,
) -> Deployment:
    """Set an engine up.

    Raises UsageError for an unknown flag, a tensor-parallel degree that does not divide the heads,
    and kernel tables that lack something; DoesNotFitError for a model that does not fit.
    """
    values = Flags(flags, ALIASES)
    tp = values.integer("tp-size", tp)
    engines = values.integer("dp-size", 1)
    check_heads(shape, tp)
    weights = weight_format(shape, values)
    cache = formats.cache(values.text("kv-cache-dtype", "auto"))
    config = scheduler_config(values, SglangConfig(chunked_prefill_size=_chunk(gpu)))
    share = values.number("mem-fraction-static", _static_share(gpu, config, tp))
    most_tokens = values.optional_integer("max-total-tokens")
    values.refuse_unknown()
    if blocks is None:
        held = shape.weight_bytes(weights, tp)
        usable = gpu.memory_bytes * share
        size = config.page_size
        blocks = kv_blocks(shape, gpu, held, cache, tp=tp, usable=usable, size=size)
        if most_tokens is not None:
            blocks = min(blocks, most_tokens // size)
    times = step_times(gpu, shape, weights, cache, tp=tp, kernels=kernels)
    name = f"{tp * engines} {gpu.name}, {shape.name}, SGLang"
    return Deployment(name, times, config, blocks, tp, engines=engines)


def _chunk(gpu: Gpu) -> int:
    gib = gpu.memory_bytes / 2**30
    return next((chunk for below, chunk in CHUNKS if gib < below), LARGEST_CHUNK)


def _static_share(gpu: Gpu, config: SglangConfig, tp: int) -> float:
    """Return the share of the memory that holds weights and KV cache.

    SGLang reserves the rest for activations and CUDA graphs; newer versions measure the graphs.
    """
    gib = gpu.memory_bytes / 2**30
    tokens = max(config.chunked_prefill_size or config.max_prefill_tokens, 2048)
    few, many = next(((few, many) for below, few, many in GRAPHS if gib < below), (0, 0))
    sequences = (few if tp < 4 else many) or LARGEST_GRAPHS
    reserved = 512 + 1.5 * tokens + 128 * tp + 2 * sequences
    if gib > 60:
        reserved = max(reserved, 10 * 1024)
    return 1 - reserved * MIB / gpu.memory_bytes

"""One engine on given GPUs: from a shape, a GPU and vLLM's flags to what a simulation needs.

`sglang_deployment` does the same for SGLang's flags.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.deployments.calibration import Calibration
from phasewise_analyzer.engine.engine_flags import Flags
from phasewise_analyzer.engine.hardware.gpus import Gpu
from phasewise_analyzer.engine.not_modelled import NotModelledError
from phasewise_analyzer.engine.schedulers.host_tier import HostMemory
from phasewise_analyzer.engine.schedulers.offloading import OffloadingConfig
from phasewise_analyzer.engine.schedulers.scheduler import EngineConfig
from phasewise_analyzer.engine.schedulers.transfers import Link
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.shapes import formats
from phasewise_analyzer.engine.shapes.layers import Attention, LatentAttention
from phasewise_analyzer.engine.shapes.shape import Shape
from phasewise_analyzer.engine.speculation.config import SpeculationConfig, speculative
from phasewise_analyzer.engine.speculation.drafting_time import STEP_S, WithDrafting
from phasewise_analyzer.engine.step_times.aiconfigurator import AiconfiguratorSteps
from phasewise_analyzer.engine.step_times.batch import StepTimes
from phasewise_analyzer.engine.step_times.front import NO_FRONT, Front
from phasewise_analyzer.engine.step_times.kernel_tables import KernelTables
from phasewise_analyzer.engine.step_times.roofline import Efficiency, Roofline
from phasewise_analyzer.engine.step_times.step_terms import Collectives, WithTerms

OTHER_BYTES = 1.2e9
"""GPU memory that holds neither weights nor KV: activations, CUDA context and graphs.  vLLM 0.19
used 1.24 GB on an RTX 4090 with Llama-3.1-8B and steps of 2,048 tokens"""

HOST_S = 0.0
"""host time per step that a GPU waits for: with asynchronous scheduling none was found"""

HOST_LATENCY_S = 20e-6
"""from the start of a copy between host and GPU to its first byte: an assumption, as a copy of one
block already takes a multiple of it"""

LARGE_GIB = 70
"""from this memory on vLLM's defaults are larger, except on A100"""


class DoesNotFitError(UsageError):
    """A model's weights leave no room for a KV cache on the given GPUs."""


@dataclass(frozen=True, slots=True)
class KvSize:
    """What a block of KV takes to move between GPUs of one machine."""

    block_bytes: float
    """on one GPU"""
    link_bytes_s: float


@dataclass(frozen=True, slots=True)
class Deployment:
    """An engine ready to be simulated."""

    name: str
    """its GPUs and its model in words"""
    times: StepTimes
    config: EngineConfig
    blocks: int | None
    """KV blocks of one data-parallel rank; None where there are always enough"""
    tp: int = 1
    ranks: int = 1
    """data-parallel ranks that run every step together: of a mixture of experts"""
    engines: int = 1
    """data-parallel ranks that run on their own: of a dense model"""
    front: Front = NO_FRONT
    """the server before the engine"""
    kv: KvSize | None = None
    """of a block, where it is known and all KV is in blocks"""
    speculation: SpeculationConfig | None = None
    """how it drafts"""


def calibrated(measured: Calibration) -> Deployment:
    """Set an engine up as it was measured."""
    times: StepTimes = measured.times
    if not measured.measured_drafting:
        exposed_s = STEP_S if measured.scheduled_ahead else 0.0
        times = with_drafting(times, measured.speculation, exposed_s=exposed_s)
    return Deployment(
        measured.server.name,
        times,
        measured.config,
        measured.blocks,
        front=measured.front,
        speculation=measured.speculation,
    )


def with_drafting(
    times: StepTimes, speculation: SpeculationConfig | None, *, exposed_s: float = STEP_S
) -> StepTimes:
    """Add the host's time between steps, where there is speculation."""
    return times if speculation is None else WithDrafting(times, speculation, exposed_s)


def deploy(
    shape: Shape,
    gpu: Gpu,
    flags: Mapping[str, str],
    *,
    tp: int = 1,
    kernels: Path | None = None,
    aiconfigurator: str | None = None,
    blocks: int | None = None,
    efficiency: Efficiency | None = None,
) -> Deployment:
    """Set an engine up; `efficiency` is the roofline's where it is known better than the prior.

    `aiconfigurator` is a model's name on Hugging Face, whose times that package knows.
    Raises UsageError for an unknown flag, a tensor-parallel degree that does not divide the heads,
    and kernel tables that lack something; DoesNotFitError for a model that does not fit.
    """
    values = Flags(flags)
    mixture = next(shape.experts(), None) is not None
    data_parallel = values.integer("data-parallel-size", 1)
    ranks, engines = (data_parallel, 1) if mixture else (1, data_parallel)
    # without it vLLM cuts every expert across the same ranks: each does the same part of the work
    values.switch("enable-expert-parallel", False)
    tp = values.integer("tensor-parallel-size", tp)
    check_heads(shape, tp)
    weights = weight_format(shape, values)
    cache = formats.cache(values.text("kv-cache-dtype", "auto"))
    large = gpu.memory_bytes > LARGE_GIB * 2**30 and not gpu.name.startswith("a100")
    config = SchedulerConfig(
        max_num_batched_tokens=values.integer("max-num-batched-tokens", 8192 if large else 2048),
        max_num_seqs=values.integer("max-num-seqs", 1024 if large else 256),
        block_size=values.integer("block-size", 16),
        enable_prefix_caching=values.switch("enable-prefix-caching", True),
        async_scheduling=values.switch("async-scheduling", True),
    )
    speculation, config = speculative(values, config)
    host = _host_memory(shape, gpu, cache, values, tp=tp, size=config.block_size)
    share = values.number("gpu-memory-utilization", 0.9)
    override = values.optional_integer("num-gpu-blocks-override")
    values.refuse_unknown()
    if blocks is None:
        blocks = override
    if blocks is None:
        held = shape.weight_bytes(weights, tp, expert_ranks=tp * ranks)
        usable = gpu.memory_bytes * share - OTHER_BYTES
        blocks = kv_blocks(shape, gpu, held, cache, tp=tp, usable=usable, size=config.block_size)
    times: StepTimes
    if aiconfigurator is None:
        times = step_times(
            gpu, shape, weights, cache, tp=tp, ranks=ranks, kernels=kernels, efficiency=efficiency
        )
    else:
        if ranks > 1 or kernels is not None or weights.name != shape.native_format:
            raise UsageError(
                "--aiconfigurator has the times of a model in the formats that it is published "
                "in, on tensor-parallel ranks: leave out --kernels, quantization and data-parallel "
                "ranks, or name a quantized model"
            )
        # its times have the collectives in them
        source = AiconfiguratorSteps(aiconfigurator, gpu, tp=tp)
        times = WithTerms(source, Collectives(gpu, shape, 1, 1), HOST_S)
    name = f"{tp * data_parallel} {gpu.name}, {shape.name}"
    if host is not None:
        if speculation is not None:
            raise NotModelledError("the simulation does not model speculation beside KV offload")
        config = OffloadingConfig(**asdict(config), host=host)
    grows = not shape.sequence_bytes(cache, tp)
    block_bytes = shape.kv_token_bytes(cache, tp) * config.block_size
    return Deployment(
        name,
        with_drafting(times, speculation),
        config,
        blocks,
        tp,
        ranks,
        engines,
        speculation=speculation,
        kv=KvSize(block_bytes, gpu.link_bytes_s) if grows else None,
    )


def _host_memory(
    shape: Shape, gpu: Gpu, cache: formats.Format, values: Flags, *, tp: int, size: int
) -> HostMemory | None:
    """Return the host memory that a rank offloads KV to; None without the flag."""
    gib = values.optional_amount("kv-offloading-size")
    backend = values.text("kv-offloading-backend", "native")
    if gib is None:
        return None
    if backend != "native":
        raise NotModelledError(f"the simulation does not model `kv-offloading-backend={backend}`")
    if shape.sequence_bytes(cache, tp):
        raise NotModelledError(
            f"the simulation does not model KV offload of `{shape.name}`: some of its layers keep "
            "a window or a state per sequence"
        )
    block_bytes = shape.kv_token_bytes(cache, tp) * size
    # the flag is the memory of all tensor-parallel ranks together
    blocks = int(gib * 2**30 // (block_bytes * tp))
    if not blocks:
        raise UsageError(f"`kv-offloading-size={gib:g}` GiB hold no KV block")
    return HostMemory(blocks, block_bytes, Link(gpu.host_bytes_s, HOST_LATENCY_S))


def step_times(
    gpu: Gpu,
    shape: Shape,
    weights: formats.Format,
    cache: formats.Format,
    *,
    tp: int,
    kernels: Path | None,
    ranks: int = 1,
    efficiency: Efficiency | None = None,
) -> StepTimes:
    """Return the step times of a model on a GPU: from kernel tables, or else from the roofline."""
    source: StepTimes
    if kernels is None:
        source = Roofline(gpu, shape, weights, cache, tp, ranks, efficiency or Efficiency())
    else:
        source = KernelTables(_tables(kernels, tp), shape, tp=tp, dp=ranks)
    return WithTerms(source, Collectives(gpu, shape, tp, ranks), HOST_S)


def check_heads(shape: Shape, tp: int) -> None:
    """Raise UsageError for a tensor-parallel degree that does not divide the heads."""
    heads = {
        one.mixer.heads
        for one in shape.layers
        if isinstance(one.mixer, Attention | LatentAttention)
    }
    if tp < 1 or any(count % tp for count in heads):
        raise UsageError(
            f"`{shape.name}` has {min(heads)} attention heads, which {tp} tensor-parallel ranks "
            "cannot share"
        )


def weight_format(shape: Shape, values: Flags) -> formats.Format:
    """Return the format of the weights: as quantized by a flag, or as published."""
    named = values.text("quantization", "none")
    values.text("dtype", "auto")
    if named != "none":
        return formats.weights(named)
    if shape.native_format is None:
        raise UsageError(
            f"the weights of `{shape.name}` are published in a format that is not known; "
            "name one with  --set quantization=…"
        )
    return formats.weights(shape.native_format)


def kv_blocks(
    shape: Shape,
    gpu: Gpu,
    held: float,
    cache: formats.Format,
    *,
    tp: int,
    usable: float,
    size: int,
) -> int:
    """Return the KV blocks that fit beside the weights; raises DoesNotFitError if none do."""
    free = usable - held
    # layers with a window take blocks too, up to the window: counted as if they grew
    token = sum(shape.layer_cache_bytes(cache, tp))
    blocks = int(free // (token * size))
    if blocks < 1:
        raise DoesNotFitError(
            f"`{shape.name}` needs {held / 1e9:.1f} GB for its weights on each `{gpu.name}`, of "
            f"{usable / 1e9:.1f} GB usable: it does not fit; use more GPUs "
            "(--tp) or a smaller format (--set quantization=fp8)"
        )
    return blocks


def _tables(folder: Path, tp: int) -> Path:
    """Return the folder of the tables for a tensor-parallel degree."""
    inner = folder / f"tp{tp}"
    if inner.is_dir():
        return inner
    if folder.name.startswith("tp") and folder.name != f"tp{tp}":
        raise UsageError(f"`{folder}` was not measured with {tp} tensor-parallel ranks")
    if not folder.is_dir():
        raise UsageError(f"there is no folder of kernel tables `{folder}`")
    return folder

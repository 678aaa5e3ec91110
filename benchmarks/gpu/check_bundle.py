"""Check an unpacked bundle without a GPU: imports, registered kernels, every arm's configuration.

    PYTHONPATH=SITE TARGET_PYTHON benchmarks/gpu/check_bundle.py PACK

TARGET_PYTHON is Python 3.12 with PyTorch 2.11 for CUDA 13 and transformers. A stand-in for the
driver says that there is an H200, so vLLM configures itself for it; no kernel is launched.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
MODULES = (
    "vllm.entrypoints.openai.api_server",
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.worker.gpu_worker",
    "vllm.v1.worker.gpu_model_runner",
    "vllm.v1.attention.backends.flash_attn",
    "vllm.v1.attention.backends.triton_attn",
    "vllm.model_executor.models.llama",
    "vllm.model_executor.models.qwen3_moe",
    "vllm.model_executor.layers.quantization.fp8",
    "vllm.model_executor.layers.fused_moe",
    "vllm.model_executor.model_loader.dummy_loader",
    "vllm.v1.kv_offload.cpu.spec",
    "vllm.distributed.kv_transfer.kv_connector.v1.offloading_connector",
)
KERNELS = {
    "_C": (
        "rms_norm",
        "fused_add_rms_norm",
        "rotary_embedding",
        "silu_and_mul",
        "dynamic_scaled_fp8_quant",
        "cutlass_scaled_mm",
    ),
    "_C_cache_ops": ("reshape_and_cache_flash", "swap_blocks"),
    "_moe_C": ("topk_softmax", "moe_align_block_size"),
    "_vllm_fa3_C": ("fwd", "get_scheduler_metadata"),
}


def main() -> None:
    """Put the stand-in in place, start again with it, and check."""
    if "STUB_DRIVER" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="stub-driver-") as folder:
            for name in DRIVER:
                command = ["cc", "-shared", "-fPIC", "-o", str(Path(folder) / name)]
                subprocess.run([*command, str(HERE / "stub_driver.c")], check=True)
            environment = os.environ | {"STUB_DRIVER": folder, "LD_LIBRARY_PATH": folder}
            again = subprocess.run([sys.executable, *sys.argv], env=environment, check=False)
            sys.exit(again.returncode)
    for name in MODULES:
        importlib.import_module(name)
    print(f"{len(MODULES)} modules import")
    missing = [f"{library}.{name}" for library, name in absent_kernels()]
    print("kernels missing:", ", ".join(missing) or "none")
    failed = configurations(Path(sys.argv[1]))
    sys.exit(1 if missing or failed else 0)


def absent_kernels() -> list[tuple[str, str]]:
    """Return the kernels that are not registered."""
    import torch  # type: ignore[import-not-found]  # only on the target
    from vllm.platforms import current_platform

    current_platform.import_kernels()
    importlib.import_module("vllm.vllm_flash_attn.flash_attn_interface")
    return [
        (library, name)
        for library, names in KERNELS.items()
        for name in names
        if not hasattr(getattr(torch.ops, library), name)
    ]


def configurations(path: Path) -> int:
    """Make the engine's configuration of every arm of a pack, and return how many cannot be."""
    from phasewise_replay.engines import vllm_command
    from phasewise_replay.gpu import model_files, pack_file
    from phasewise_replay.gpu.execute import Choice, arms_of, chosen
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.openai.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    pack = pack_file.read(path)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        model = Path(folder) / "model"
        model_files.unpack(pack.model_files, model)
        for arm in arms_of(chosen(pack, Choice(), "gpu")):
            words = vllm_command.command(
                Path(sys.executable), model=str(model), port=1, flags=arm.all_flags(), on_cpu=False
            )
            try:
                parser = make_arg_parser(FlexibleArgumentParser())
                AsyncEngineArgs.from_cli_args(parser.parse_args(words[3:])).create_engine_config()
            except (Exception, SystemExit) as error:
                failed += 1
                print(f"{arm.name}: {type(error).__name__}: {str(error)[:300]}")
            else:
                print(f"{arm.name}: ok")
    return failed


if __name__ == "__main__":
    main()

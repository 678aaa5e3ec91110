"""What the engine model says of an arm's own model, GPU and formats, before anything is measured.

Used to share mixed steps between the phases, and to stand beside measured steps.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath

from phasewise_analyzer.engine.deployments.deployment import Deployment, deploy
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.shapes import model_config
from phasewise_store.errors import UnsupportedArmError, UsageError

from phasewise_replay.engines import simulated_deployment
from phasewise_replay.records import parallel_ranks
from phasewise_replay.records.arm_record import ArmRecord

FORMAT_FLAGS = ("quantization", "kv-cache-dtype", "tensor-parallel-size", "max-num-batched-tokens")
"""flags that change how long a step takes"""
DRIVER_WORDS = re.compile(r"\b(NVIDIA|AMD|Instinct|HBM\w+|Server Edition)\b|(?<=SXM)\d")
"""what a driver adds to the name of a GPU: `NVIDIA H100 80GB HBM3`, `NVIDIA A100-SXM4-80GB`"""


def gpu_name(record: ArmRecord) -> str | None:
    """Return the GPU that an arm ran on, or was simulated for; None where none is known."""
    if record.basis == "simulated":
        gpu = record.settings.get("gpu")
        return None if gpu is None else str(gpu)
    listed = record.machine.get("gpus")
    if not isinstance(listed, list) or not listed:
        return None
    name = str(listed[0].get("name"))
    try:
        return gpus.find(DRIVER_WORDS.sub("", name)).name
    except UsageError:
        return name


def gpu_count(record: ArmRecord) -> int:
    """Return how many GPUs an arm held: as a simulation says, or the product of parallel sizes."""
    counted = record.settings.get("simulated_gpus")
    if isinstance(counted, int):
        return counted
    return parallel_ranks.gpus(record.settings)


def of_arm(record: ArmRecord, config: Mapping[str, object]) -> Deployment | None:
    """Return the engine model of an arm; None where its model, GPU or formats are not known.

    `config` are the arm's planned flags.
    """
    if record.basis == "simulated":
        return _simulated(config)
    gpu = gpu_name(record)
    if gpu is None:
        return None
    flags = {name: str(config[name]) for name in FORMAT_FLAGS if name in config}
    try:
        shape = model_config.find(_model_name(record.model))
        return deploy(shape, gpus.find(gpu), flags, blocks=record.blocks_of_kv or 1)
    except UsageError:
        return None


def _simulated(config: Mapping[str, object]) -> Deployment | None:
    """Return the deployment that a simulated arm ran on; None where it cannot be set up here."""
    try:
        return simulated_deployment.of_configuration(config)
    except (UsageError, UnsupportedArmError):
        return None


def _model_name(model: str) -> str:
    """Return the name of a shipped shape where `model` is one of its names at Hugging Face."""
    plain = PurePath(model).name.lower().removesuffix("-instruct").removeprefix("meta-")
    return plain if plain in model_config.names() else model

"""How many GPUs an engine's settings give it."""

from collections.abc import Mapping
from math import prod

STEP = ("tensor_parallel_size", "pipeline_parallel_size")
"""the ranks that compute one step together"""
ALL = (*STEP, "data_parallel_size")


def gpus(settings: Mapping[str, object], names: tuple[str, ...] = ALL) -> int:
    """Return the product of the parallel sizes among an engine's settings, by dotted name."""
    sizes = dict.fromkeys(names, 1)
    for setting, value in settings.items():
        name = setting.rpartition(".")[2]
        if name in sizes and isinstance(value, int):
            sizes[name] = value
    return prod(sizes.values())

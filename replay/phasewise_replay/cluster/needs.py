"""How many GPUs an arm needs on one node."""

from math import prod

from phasewise_store.errors import UsageError

from phasewise_replay.plans.arms import Arm, ManagedArm, SglangArm, UrlArm

VLLM_SIZES = (
    ("tensor-parallel-size", "tp", "-tp"),
    ("pipeline-parallel-size", "pp", "-pp"),
    ("data-parallel-size", "dp", "-dp"),
)
SGLANG_SIZES = (
    ("tp-size", "tensor-parallel-size"),
    ("pp-size", "pipeline-parallel-size"),
    ("dp-size", "data-parallel-size"),
)
SHARED_GPUS = "enable-dp-attention"
"""SGLang's data-parallel attention runs on the GPUs of tensor parallelism"""


def gpus(arm: Arm) -> int:
    """Return the GPUs that the arm's engine holds: none for a simulation.

    Raises UsageError for a server that the run does not start, which shards would share.
    """
    if isinstance(arm, UrlArm):
        raise UsageError(
            f"arm `{arm.name}` is one server at an address, which all shards would share: run it "
            "without --cluster, or let the run start the servers"
        )
    if not isinstance(arm, ManagedArm):
        return 0
    flags = arm.all_flags()
    sglang = isinstance(arm, SglangArm)
    sizes = [
        next((int(str(flags[name])) for name in names if name in flags), 1)
        for names in (SGLANG_SIZES if sglang else VLLM_SIZES)
    ]
    if sglang and flags.get(SHARED_GPUS):
        sizes[2] = 1
    return prod(sizes)

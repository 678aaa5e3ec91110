"""The deployment that a simulated arm describes: from its options and flags to the engine model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from phasewise_analyzer.engine.deployments import calibration, sglang_deployment
from phasewise_analyzer.engine.deployments import deployment as deployments
from phasewise_analyzer.engine.deployments.deployment import Deployment, DoesNotFitError, calibrated
from phasewise_analyzer.engine.hardware import gpus
from phasewise_analyzer.engine.not_modelled import NotModelledError
from phasewise_analyzer.engine.shapes import model_config
from phasewise_store.errors import UnsupportedArmError

from phasewise_replay.plans import arm_file
from phasewise_replay.plans.arms import SimulatedArm, SimulatedOptions
from phasewise_replay.plans.plan_keys import Keys
from phasewise_replay.plans.presets import FlagValue


def deployment(options: SimulatedOptions, flags: Mapping[str, FlagValue]) -> Deployment:
    """Set the engine up.

    Raises UnsupportedArmError for a model that does not fit and a flag that is not modelled, and
    UsageError for an unknown GPU or model, and files that cannot be read.
    """
    texts = {name: _text(value) for name, value in flags.items()}
    try:
        if options.calibration is not None:
            measured = calibration.read(Path(options.calibration))
            return calibrated(measured.with_flags(texts, options.kv_blocks))
        assert options.gpu is not None and options.model is not None, "a plan has both"
        deploy = sglang_deployment.deploy if options.scheduler == "sglang" else deployments.deploy
        return deploy(
            model_config.find(options.model),
            gpus.find(options.gpu),
            texts,
            kernels=None if options.kernels is None else Path(options.kernels),
            blocks=options.kv_blocks,
        )
    except (DoesNotFitError, NotModelledError) as wrong:
        raise UnsupportedArmError(str(wrong)) from wrong


def configured(arm: SimulatedArm) -> dict[str, object]:
    """Return an arm's configuration as planned: its options, and vLLM's flags by their names."""
    options = asdict(arm.options)
    for name in ("flags", "prefix_caching", "chunk_tokens", "block_tokens"):
        del options[name]
    return options | arm.all_flags()


def of_configuration(config: Mapping[str, object]) -> Deployment:
    """Set up what `configured` has described; raises as `deployment` does."""
    names = {one.name for one in fields(SimulatedOptions)} | {"engine"}
    own = {name: value for name, value in config.items() if name not in names}
    document = {name: config[name] for name in names if config.get(name) is not None}
    arm = arm_file.arm(Keys(document | {"name": "stored", "flags": own}, "the stored plan", ""))
    assert isinstance(arm, SimulatedArm)
    return deployment(arm.options, arm.all_flags())


def settings(
    options: SimulatedOptions, flags: Mapping[str, FlagValue], engine: Deployment
) -> dict[str, object]:
    """Return every setting by its name: of the options, of flags, and the scheduler's limits."""
    named = {name.replace("-", "_"): _text(value) for name, value in flags.items()}
    # what is no plain value follows from a flag, e.g. the host memory of KV offload
    config = {
        name: value
        for name, value in asdict(engine.config).items()
        if isinstance(value, int | float | str | None)
    }
    # the engine reports these two under the names that all engines have in a replay
    for name in ("enable_prefix_caching", "block_size", "disable_radix_cache", "page_size"):
        named.pop(name, None)
        config.pop(name, None)
    return {
        "gpu": options.gpu,
        "model": options.model,
        "scheduler": options.scheduler,
        "kernels": options.kernels,
        "calibration": options.calibration,
        "replicas": options.replicas,
        "router": options.router,
        "prefill_engines": options.prefill_engines,
        "decode_engines": options.decode_engines,
        "kv_copy_gb_s": options.kv_copy_gb_s,
        "simulated_gpus": arm_file.layout(options).gpus(engine),
        "num_gpu_blocks": engine.blocks,
        **named,
        **config,
    }


def _text(value: FlagValue) -> str:
    """Return a flag's value as it stands on a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, Mapping | list) else str(value)

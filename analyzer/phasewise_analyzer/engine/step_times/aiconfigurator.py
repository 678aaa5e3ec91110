"""Step times by AIConfigurator: kernels that NVIDIA measured on its GPUs, for vLLM.

An optional extra (`phasewise[aiconfigurator]`), because its data are large. Its times include the
collectives of tensor parallelism and exclude host time. They hold for the formats that the named
model is published in.
"""

import logging
from importlib import metadata
from typing import Any

import numpy as np
from phasewise_store.errors import MissingExtraError, UsageError

from phasewise_analyzer.engine.hardware.gpus import Gpu
from phasewise_analyzer.engine.step_times.batch import Basis, Batch, FloatArray

SYSTEMS = {
    "a100-80gb": "a100_sxm",
    "a100-pcie": "a100_pcie",
    "h100-sxm": "h100_sxm",
    "h100-pcie": "h100_pcie",
    "h200-sxm": "h200_sxm",
    "b200": "b200_sxm",
    "b300": "b300_sxm",
    "gb200": "gb200",
    "gb300": "gb300",
    "l4": "l4",
    "l40s": "l40s",
    "rtx-pro-6000": "rtx_pro_6000_server",
}
"""its names of GPUs"""
POINTS = 9
"""of a run of decode steps are computed; the times between them are nearly linear"""

Scheduled = tuple[int, int, int, int, int]
"""prompt tokens, prompts, cached tokens before them, decodes, context of the decodes"""


class AiconfiguratorSteps:
    """Times of one engine."""

    def __init__(self, model: str, gpu: Gpu, *, tp: int = 1) -> None:
        """Take the model's name on Hugging Face.

        Raises MissingExtraError without the extra, UsageError for a GPU, a model or a parallel
        degree that it has no data for.
        """
        if gpu.name not in SYSTEMS:
            raise UsageError(
                f"AIConfigurator has no data of `{gpu.name}`; it has {', '.join(SYSTEMS)}"
            )
        self._source = f"AIConfigurator {_version()}, {model} on {gpu.name} with vLLM"
        self._model = _loaded(model, SYSTEMS[gpu.name], tp)
        self._known: dict[Scheduled, float] = {}

    @property
    def basis(self) -> Basis:
        """Say where the times come from."""
        return Basis("aiconfigurator", self._source, None)

    def step_s(self, batch: Batch) -> float:
        """Return the seconds of one step; drafts count as sequences that decode."""
        decodes = batch.decodes + batch.drafts
        context = batch.context
        if batch.drafts:
            # each draft attends to about as much as the sequence that it belongs to
            context += round(batch.drafts * batch.context / max(1, batch.decodes))
        return self._step_s(
            (
                batch.prefill_tokens,
                len(batch.chunks),
                sum(chunk.cached for chunk in batch.chunks),
                decodes,
                context,
            )
        )

    def decode_run_s(self, first: Batch, steps: int) -> FloatArray:
        """Return the seconds of so many decode steps in a row."""
        places = np.unique(np.linspace(0, steps - 1, min(POINTS, steps)).round())
        times = [
            self._step_s((0, 0, 0, first.decodes, first.context + int(place) * first.decodes))
            for place in places
        ]
        return np.interp(np.arange(steps), places, times)

    def _step_s(self, scheduled: Scheduled) -> float:
        if scheduled not in self._known:
            tokens, prompts, cached, decodes, context = scheduled
            found = self._model.estimate_forward_pass_time_ms(
                {
                    "version": 1,
                    "scheduled_requests": {
                        "sum_prefill_tokens": tokens,
                        "num_prefill_requests": prompts,
                        "sum_prefill_kv_tokens": cached,
                        "num_decode_requests": decodes,
                        "sum_decode_kv_tokens": context,
                    },
                }
            )
            self._known[scheduled] = float(found) / 1e3
        return self._known[scheduled]


def _version() -> str:
    try:
        return metadata.version("aiconfigurator-core")
    except metadata.PackageNotFoundError:
        raise MissingExtraError(
            "--aiconfigurator needs its data.  Install them with  "
            "pip install 'phasewise[aiconfigurator]'"
        ) from None


def _loaded(model: str, system: str, tp: int) -> Any:  # noqa: ANN401  # it ships no usable types
    """Compile a model; raises UsageError where it has no data."""
    # it says for every table of another model that it reads that these are not of vLLM
    logging.getLogger("aiconfigurator_core").setLevel(logging.ERROR)
    from aiconfigurator_core.sdk import RustForwardPassPerfModel  # noqa: PLC0415  # an extra
    from aiconfigurator_core.sdk.engine import ENGINE_CONFIG_SCHEMA_VERSION  # noqa: PLC0415

    config = {
        "schema_version": ENGINE_CONFIG_SCHEMA_VERSION,
        "model_name": model,
        "system_name": system,
        "backend": "vllm",
        "tp_size": tp,
        "pp_size": 1,
    }
    try:
        return RustForwardPassPerfModel.from_native(config)
    except Exception as error:
        said = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise UsageError(
            f"AIConfigurator has no times of `{model}` on `{system}` with {tp} ranks: {said}"
        ) from error

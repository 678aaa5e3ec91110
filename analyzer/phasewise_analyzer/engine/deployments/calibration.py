"""A server's calibration: its fitted step times and the limits of its scheduler, kept as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from phasewise_store.errors import UsageError

from phasewise_analyzer.engine.deployments import sglang_flags
from phasewise_analyzer.engine.engine_flags import Flags
from phasewise_analyzer.engine.schedulers.sglang_scheduler import SglangConfig
from phasewise_analyzer.engine.schedulers.vllm_scheduler import SchedulerConfig
from phasewise_analyzer.engine.speculation.config import (
    SpeculationConfig,
    parse,
    speculative,
    written,
)
from phasewise_analyzer.engine.step_times.fitted_steps import FittedSteps, KindFit, StepKind
from phasewise_analyzer.engine.step_times.front import Front
from phasewise_analyzer.engine.step_times.kernel_preparation import Preparation

FORMAT = 2

Config = SchedulerConfig | SglangConfig
CONFIGS: Mapping[str, type[Config]] = {"vllm": SchedulerConfig, "sglang": SglangConfig}


@dataclass(frozen=True, slots=True)
class Server:
    """Under what a fit is kept: it holds for this combination and no other."""

    engine: str
    version: str | None
    model: str
    gpu: str | None
    """as the user named it: servers do not tell"""
    settings: Mapping[str, object] = field(default_factory=dict)
    """the flags that step times depend on, as the server reports them"""

    @property
    def name(self) -> str:
        """The server in words."""
        gpu = f" on {self.gpu}" if self.gpu else ""
        version = f" {self.version}" if self.version else ""
        return f"{self.engine}{version}, {Path(self.model).name}{gpu}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found."""

    server: Server
    times: FittedSteps
    config: Config
    blocks: int | None
    front: Front
    """the server before the engine"""
    speculation: SpeculationConfig | None = None
    """how it drafts"""
    measured_drafting: bool = False
    """whether it drafted when it was measured: the fit has the time of that"""
    scheduled_ahead: bool = False
    """whether drafts turned asynchronous scheduling off: the fit has no host time between steps"""

    def with_flags(self, flags: Mapping[str, str], blocks: int | None) -> "Calibration":
        """Return the calibration for other limits of the scheduler.

        Raises UsageError for a flag that changes step times: they would have to be measured again.
        A server that drafted when it was measured drafts as it did then.
        """
        if isinstance(self.config, SglangConfig):
            values = Flags(flags, sglang_flags.ALIASES)
            override = values.optional_integer("max-total-tokens")
            override = override and override // self.config.page_size
            changed: Config = sglang_flags.limits(values, self.config)
            speculation, ahead = None, False
        else:
            values = Flags(flags)
            override = values.optional_integer("num-gpu-blocks-override")
            ahead = self.config.async_scheduling
            speculation, changed = speculative(values, _vllm_limits(values, self.config))
            if self.measured_drafting:
                if speculation not in (None, self.speculation):
                    raise UsageError(
                        f"{self.server.name} was measured while it drafted in another way: its "
                        "step times do not hold for this `speculative-config`; calibrate again"
                    )
                speculation = self.speculation
        values.refuse_unknown()
        blocks = blocks or override or self.blocks
        return replace(
            self, config=changed, blocks=blocks, speculation=speculation, scheduled_ahead=ahead
        )


def _vllm_limits(values: Flags, config: SchedulerConfig) -> SchedulerConfig:
    return replace(
        config,
        max_num_batched_tokens=values.integer(
            "max-num-batched-tokens", config.max_num_batched_tokens
        ),
        max_num_seqs=values.integer("max-num-seqs", config.max_num_seqs),
        enable_prefix_caching=values.switch("enable-prefix-caching", config.enable_prefix_caching),
        async_scheduling=values.switch("async-scheduling", config.async_scheduling),
    )


def write(path: Path, calibration: Calibration) -> None:
    """Write a calibration."""
    times = calibration.times
    document = {
        "format": FORMAT,
        "made_at": times.made_at.isoformat(),
        "server": asdict(calibration.server),
        "config": asdict(calibration.config),
        "blocks": calibration.blocks,
        "front": asdict(calibration.front),
        "preparation": asdict(times.preparation),
        "speculation": calibration.speculation and written(calibration.speculation),
        "fits": {kind: asdict(fit) for kind, fit in times.fits.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")


def read(path: Path) -> Calibration:
    """Read a calibration.  Raises UsageError where the file is none, or of another version."""
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["format"] != FORMAT:
            raise UsageError(f"`{path}` was written by another version: calibrate again")
        server = Server(**document["server"])
        fits: dict[StepKind, KindFit] = {}
        for kind, row in document["fits"].items():
            fits[kind] = KindFit(**(row | {"coefficients": tuple(row["coefficients"])}))
        made_at = datetime.fromisoformat(document["made_at"])
        drafted = document.get("speculation")
        return Calibration(
            server,
            FittedSteps(
                fits,
                f"calibration of {server.name}",
                made_at,
                Preparation(**document.get("preparation", {})),
            ),
            CONFIGS[server.engine](**document["config"]),
            document["blocks"],
            Front(**document["front"]),
            speculation=parse(drafted) if drafted else None,
            measured_drafting=bool(drafted),
        )
    except OSError as wrong:
        raise UsageError(f"cannot read `{path}`: {wrong.strerror or wrong}") from wrong
    except (ValueError, KeyError, TypeError) as wrong:
        raise UsageError(f"`{path}` is not a calibration: {wrong}") from wrong

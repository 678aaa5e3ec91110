"""The arms of a plan: a server that the run starts, one at an address, or the simulation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from phasewise_store.errors import UsageError

from phasewise_replay.plans import presets
from phasewise_replay.plans.presets import FlagValue


@dataclass(frozen=True, slots=True)
class ManagedArm:
    """A server that the run starts and stops."""

    name: str
    model: str
    """folder or Hugging Face name"""
    presets: tuple[str, ...] = ()
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    """the engine's own, without the dashes in front; they win over presets"""
    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    """interpreter or virtual environment that has the engine; None finds it"""
    start_timeout_s: float = 900.0
    draft_model: str | None = None
    """folder or name of the draft model or head of a preset that speculates with one"""

    def check_model(self) -> None:
        """Raise UsageError where the model is a folder that is not there."""
        if self.model.startswith((".", "/", "~")) and not Path(self.model).expanduser().exists():
            raise UsageError(f"arm `{self.name}`: there is no model folder `{self.model}`")


@dataclass(frozen=True, slots=True)
class VllmArm(ManagedArm):
    """A vLLM server."""

    engine: ClassVar[str] = "vllm"

    def all_flags(self) -> dict[str, FlagValue]:
        """Return the presets' flags and the arm's own.

        Raises UnsupportedArmError where a preset has no counterpart in vLLM.
        """
        found = presets.flags_of(self.presets, "vllm", draft_model=self.draft_model)
        return found | dict(self.flags)


@dataclass(frozen=True, slots=True)
class SglangArm(ManagedArm):
    """An SGLang server."""

    engine: ClassVar[str] = "sglang"

    def all_flags(self) -> dict[str, FlagValue]:
        """Return the presets' flags and the arm's own.

        Raises UnsupportedArmError where a preset has no counterpart in SGLang.
        """
        found = presets.flags_of(self.presets, "sglang", draft_model=self.draft_model)
        return found | dict(self.flags)


@dataclass(frozen=True, slots=True)
class UrlArm:
    """A server that runs already; the run neither starts nor stops it."""

    engine: ClassVar[str] = "url"
    name: str
    url: str
    """up to, and without, `/v1`"""
    model: str | None = None
    """as the server names it; None takes the first one it lists"""
    key_variable: str | None = None
    """the environment variable that holds the API key"""


Scheduler = Literal["vllm", "sglang"]


@dataclass(frozen=True, slots=True)
class SimulatedOptions:
    """What the simulator is told: a GPU and a model, or a calibration that holds both."""

    gpu: str | None = None
    model: str | None = None
    """name of a shape, or path of a `config.json`"""
    scheduler: Scheduler = "vllm"
    """whose scheduler, cache and flags"""
    kernels: str | None = None
    """folder of measured kernel tables; without it step times are a roofline's"""
    calibration: str | None = None
    """file of `phasewise calibrate`"""
    kv_blocks: int | None = None
    """KV blocks of an engine; None is what the GPU's memory holds beside the weights"""
    replicas: int = 1
    """engines behind a router"""
    router: str | None = None
    """how it chooses; None takes turns"""
    prefill_engines: int | None = None
    """engines that only read prompts, instead of replicas; `decode_engines` generate"""
    decode_engines: int | None = None
    kv_copy_gb_s: float | None = None
    """bandwidth per GPU between them; None is the link between GPUs of one machine"""
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    """the scheduler's, those that the simulation models; they win over presets"""
    prefix_caching: bool | None = None
    """older name of a flag, as the next two; presets and flags win over them"""
    chunk_tokens: int | None = None
    block_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class SimulatedArm:
    """The built-in simulator."""

    engine: ClassVar[str] = "simulated"
    name: str
    options: SimulatedOptions
    presets: tuple[str, ...] = ()

    def all_flags(self) -> dict[str, FlagValue]:
        """Return the scheduler's flags: of the options, the presets, and the arm's own.

        Raises UnsupportedArmError where a preset has no counterpart in SGLang.
        """
        options, caching = self.options, self.options.prefix_caching
        sglang = options.scheduler == "sglang"
        if sglang:
            named = {
                "disable-radix-cache": None if caching is None else not caching,
                "chunked-prefill-size": options.chunk_tokens,
                "page-size": options.block_tokens,
            }
        else:
            named = {
                "enable-prefix-caching": caching,
                "max-num-batched-tokens": options.chunk_tokens,
                "block-size": options.block_tokens,
            }
        merged: dict[str, FlagValue] = {}
        merged |= {flag: value for flag, value in named.items() if value is not None}
        # those that say how many engines there are have changed the options
        names = [one.name for one in presets.chosen(self.presets) if not one.layout]
        merged |= presets.flags_of(names, self.options.scheduler)
        return merged | dict(options.flags)


Arm = VllmArm | SglangArm | UrlArm | SimulatedArm

"""A replay plan: which sessions run on which arms, in which order.

`plan_file` reads one from YAML; a program can also build one. The first arm is the baseline.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

import yaml
from phasewise_analyzer.chat_messages.facts import Thinking
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_store.errors import UsageError

from phasewise_replay.plans import common_settings, presets
from phasewise_replay.plans.common_settings import Value
from phasewise_replay.plans.presets import FlagValue, quoted

Sample = Literal["oldest", "newest", "stratified", "cost-weighted"]
"""how sessions are chosen where there are more than the limit"""
SAMPLES: tuple[Sample, ...] = get_args(Sample)


WarmStart = float | Literal["random"]
"""below 1 a share of a session's calls, from 1 on a number of calls"""


@dataclass(frozen=True, slots=True)
class SessionChoice:
    """Which recorded sessions are replayed, in the order of their first call."""

    source: str | None = None
    """name of the data set; None is every one"""
    limit: int | None = 20
    """at most so many sessions; None is all"""
    max_calls: int | None = None
    """at most so many calls of each session, from its start; None is all"""
    ids: tuple[str, ...] = ()
    """these sessions and no others, in this order"""
    sample: Sample = "oldest"
    """the rule that chooses them (`sessions.sampling`)"""
    seed: int = 0
    """of the rules that draw"""
    keep_duplicates: bool = False
    """replay sessions again whose calls have the prompts of another one"""
    keep_secrets: bool = False
    """send secrets as recorded, instead of stand-ins"""


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


Order = Literal["ABBA", "once"]
Mode = Literal["performance", "quality"]
EndpointChoice = Literal["chat", "completions", "messages", "responses", "recorded"]
Arm = VllmArm | SglangArm | UrlArm | SimulatedArm


@dataclass(frozen=True, slots=True)
class Plan:
    """One replay: every session runs in every block of every arm."""

    name: str
    arms: tuple[Arm, ...]
    sessions: SessionChoice = SessionChoice()
    order: Order = "ABBA"
    """baseline, arm, arm, baseline: a drift over time affects all arms equally; the baseline runs
    twice at each of its turns, so that it can be compared with itself in the same way.  `once`
    starts the engine of every other arm once, in the order of the plan, for two blocks in a row"""
    repeats: int = 1
    """how many times the order is repeated"""
    warmup_calls: int = 16
    """calls sent to a freshly started server before measuring; they are not measured"""
    concurrency: int = 1
    """sessions in flight at once"""
    tool_time: float = 0.0
    """share of the recorded time between two calls to wait; 0 sends at once"""
    longest_wait_s: float = 60.0
    """upper limit of a wait between two calls"""
    send_lag_ms: float = 10.0
    """how late, at the 99th percentile, the client may send before the run is void"""
    mode: Mode = "performance"
    """performance forces the recorded output lengths and compares times; quality lets every arm
    write freely, and compares answers"""
    thinking: Thinking = "drop"
    """what happens to the reasoning in recorded answers; chat templates drop it"""
    endpoint: EndpointChoice = "chat"
    """where chats are sent; `recorded` is the endpoint of the API that a session was captured from,
    or chat where that one cannot force output lengths"""
    shards: int = 1
    """parts of the sessions that run beside each other on engines of their own (`cluster`)"""
    forecast: SimulatedOptions | None = None
    """step times with which the engine model forecasts every vLLM arm; None forecasts none"""
    warm_start: WarmStart | None = None
    """where sessions begin; the prompts before fill the cache.  None begins with the first call"""
    slo: Slo | None = None
    """limits of a call, for goodput"""
    gpu_price_per_hour: float | None = None
    """dollars; None takes the published price of the GPU"""
    equalise: Mapping[str, Value] | None = None
    """give arms on the other engine the baseline's settings; both engines get those named here, by
    common name (`common_settings`); None leaves every engine its own"""

    def __post_init__(self) -> None:
        """Reject a plan that cannot run; raises UsageError."""
        names = [arm.name for arm in self.arms]
        if not names:
            raise UsageError(f"plan `{self.name}` has no arms; the first arm is the baseline")
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"plan `{self.name}` has more than one arm named {quoted(twice)}")
        if self.equalise is not None:
            self._check_equalise(self.equalise)

    def _check_equalise(self, values: Mapping[str, Value]) -> None:
        """Reject what cannot be made equal."""
        if not {"vllm", "sglang"} <= {arm.engine for arm in self.arms}:
            raise UsageError("`equalise` needs an arm of `engine: vllm` and one of `sglang`")
        try:
            common_settings.flags_of("vllm", values)
            common_settings.flags_of("sglang", values)
        except UsageError as error:
            raise UsageError(f"`equalise` of plan `{self.name}`: {error}") from None

    def check_arms(self) -> None:
        """Reject an arm that is the baseline under another name; raises UsageError.

        One server may stand behind two addresses, or change between turns: those pass.
        """
        baseline, *others = self.arms
        for arm in others:
            if not isinstance(arm, UrlArm) and arm == replace(baseline, name=arm.name):
                raise UsageError(
                    f"arm `{arm.name}` is the same as the baseline `{baseline.name}`: change a "
                    "setting, or remove it (every run compares the baseline with itself anyway)"
                )

    def turns(self) -> list[tuple[Arm, int]]:
        """Return arm and block number of every block, in the order they run."""
        baseline, *others = self.arms
        there = [baseline, baseline]
        if self.order == "once":
            middle = [arm for other in others for arm in (other, other)]
        else:
            middle = [*others, *reversed(others)]
        blocks: Counter[str] = Counter()
        turns: list[tuple[Arm, int]] = []
        for arm in (there + middle + there) * self.repeats:
            turns.append((arm, blocks[arm.name]))
            blocks[arm.name] += 1
        return turns

    @property
    def shard_blocks(self) -> int:
        """Block numbers of a shard: those of its arms are `shard * shard_blocks` and up.

        As many as the baseline has, a multiple of four, so that `control_half` holds in each.
        """
        return 4 * self.repeats

    def visits(self) -> list[tuple[Arm, list[int]]]:
        """Return the turns with consecutive blocks of one arm together: they share its engine."""
        found: list[tuple[Arm, list[int]]] = []
        for arm, block in self.turns():
            if found and found[-1][0].name == arm.name:
                found[-1][1].append(block)
            else:
                found.append((arm, [block]))
        return found


def control_half(block: int) -> int:
    """Return the half of the baseline's A/A control that a block belongs to: 0 outer, 1 inner.

    Of each four blocks, two at the start and two at the end of a run, the outer and the inner pair
    have the same mean time, so that a drift falls on both alike.
    """
    return int(block % 4 in (1, 2))


STEP_TIMES = ("gpu", "model", "kernels", "calibration")
"""options that say where step times come from"""


def as_yaml(plan: Plan) -> str:
    """Write a plan so that `plan_file.parse` reads the same one."""
    document = asdict(plan)
    document["sessions"] = _set(document["sessions"])
    document["arms"] = [arm_document(arm) for arm in plan.arms]
    for name, usual in (("shards", 1), ("send_lag_ms", 10.0)):
        if document[name] == usual:
            del document[name]
    document |= {"slo": _slo_document(plan.slo)}
    document = {
        name: value for name, value in document.items() if value is not None or name not in UNSET
    }
    if plan.forecast is None:
        del document["forecast"]
    else:
        document["forecast"] = {name: getattr(plan.forecast, name) for name in STEP_TIMES}
        document["forecast"] = _set(document["forecast"])
    if plan.equalise is None:
        del document["equalise"]
    else:
        document["equalise"] = dict(plan.equalise) or True
    if plan.endpoint == "chat":
        del document["endpoint"]  # plans that were stored before there was a choice
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


UNSET = ("warm_start", "slo", "gpu_price_per_hour")
"""keys that are left out where there is nothing in them"""
SLO_KEYS = {"ttft_s": ("ttft", 1.0), "tpot_ms": ("tpot", 1e3), "e2e_s": ("latency", 1.0)}
"""by key of a plan: which limit, and its unit in a second"""


def _slo_document(slo: Slo | None) -> dict[str, float] | None:
    if slo is None:
        return None
    limits = {key: (getattr(slo, name), unit) for key, (name, unit) in SLO_KEYS.items()}
    return {key: limit * unit for key, (limit, unit) in limits.items() if limit is not None}


def arm_document(arm: Arm) -> dict[str, object]:
    """Write one arm as the mapping that stands in a plan file."""
    fields = asdict(arm)
    if isinstance(arm, SimulatedArm):
        fields |= fields.pop("options")
    return {"name": arm.name, "engine": arm.engine} | _set(fields)


def _set(fields: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is unset, and write tuples as lists."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
        if value not in (None, (), {})
    }

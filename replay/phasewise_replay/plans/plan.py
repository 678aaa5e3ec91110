"""A replay plan: which sessions run on which arms, in which order.

`plan_file` reads one from YAML; a program can also build one. The first arm is the baseline.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from phasewise_analyzer.chat_messages.facts import Thinking
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_store.errors import UsageError

from phasewise_replay.plans import common_settings
from phasewise_replay.plans.arms import Arm, SimulatedOptions, UrlArm
from phasewise_replay.plans.common_settings import Value
from phasewise_replay.plans.presets import quoted
from phasewise_replay.plans.session_choice import OLDEST, SessionChoice

WarmStart = float | Literal["random"]
"""below 1 a share of a session's calls, from 1 on a number of calls"""


Order = Literal["ABBA", "once"]


Mode = Literal["performance", "quality"]


Forced = Literal["lengths", "tokens"]
"""what performance mode forces of the recorded outputs"""


EndpointChoice = Literal["chat", "completions", "messages", "responses", "recorded"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One replay: every session runs in every block of every arm."""

    name: str
    arms: tuple[Arm, ...]
    sessions: SessionChoice = OLDEST
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
    forced: Forced = "lengths"
    """in performance mode: the recorded lengths, or the recorded tokens themselves, which only
    vLLM can be forced to generate"""
    thinking: Thinking = "drop"
    """what happens to the reasoning in recorded answers; chat templates drop it"""
    endpoint: EndpointChoice = "chat"
    """where chats are sent; `recorded` is the endpoint of the API that a session was captured from,
    or chat where that one cannot force output lengths"""
    shards: int = 1
    """parts of the sessions that run beside each other on engines of their own (`cluster`)"""
    forecast: SimulatedOptions | None = None
    """step times with which the engine model forecasts every vLLM arm; None forecasts none"""
    calibrations: Mapping[str, str] = field(default_factory=dict)
    """by arm, the file of a calibration of its own server, for its forecast: an arm whose flags
    change what a step takes"""
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
        if unknown := set(self.calibrations) - set(names):
            raise UsageError(
                f"`forecast.arms` of plan `{self.name}` names {quoted(unknown)}; its arms are "
                f"{quoted(set(names))}"
            )
        if self.equalise is not None:
            self._check_equalise(self.equalise)
        if self.forced == "tokens":
            self._check_forced_tokens()

    def _check_equalise(self, values: Mapping[str, Value]) -> None:
        """Reject what cannot be made equal."""
        if not {"vllm", "sglang"} <= {arm.engine for arm in self.arms}:
            raise UsageError("`equalise` needs an arm of `engine: vllm` and one of `sglang`")
        try:
            common_settings.flags_of("vllm", values)
            common_settings.flags_of("sglang", values)
        except UsageError as error:
            raise UsageError(f"`equalise` of plan `{self.name}`: {error}") from None

    def _check_forced_tokens(self) -> None:
        """Reject what contradicts forced tokens."""
        if self.mode == "quality":
            raise UsageError(
                f"plan `{self.name}` has `forced: tokens`, and in `mode: quality` nothing is forced"
            )
        if self.endpoint != "chat":
            raise UsageError(
                f"plan `{self.name}` has `forced: tokens`, which sends all prompts to vLLM's "
                "`/inference/v1/generate`: leave `endpoint` out"
            )

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

"""Read a plan from YAML.  `docs/replay.md` shows every key."""

from pathlib import Path
from typing import get_args

from phasewise_analyzer.chat_messages.facts import Thinking
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_store.errors import UsageError

from phasewise_replay.plans import common_settings
from phasewise_replay.plans import plan_keys as keys
from phasewise_replay.plans.arm_file import arm, managed, preset_names, step_times
from phasewise_replay.plans.arms import Arm, SglangArm, SimulatedOptions, VllmArm
from phasewise_replay.plans.plan import EndpointChoice, Forced, Mode, Order, Plan, WarmStart
from phasewise_replay.plans.plan_keys import Keys
from phasewise_replay.plans.plan_yaml import SLO_KEYS
from phasewise_replay.plans.session_choice import SAMPLES, Sample, SessionChoice


def read(path: Path) -> Plan:
    """Read a plan file; raises UsageError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the plan `{path}`: {error.strerror}") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> Plan:
    """Read a plan from its YAML; `where` names it in errors."""
    return plan(keys.document(text, where))


def plan(top: Keys) -> Plan:
    """Read a plan from the top of a file, whose other keys are taken already."""
    forecast, calibrations = _forecast(top.inner("forecast")) if top.has("forecast") else (None, {})
    found = Plan(
        name=top.take("name", keys.word),
        sessions=sessions(top.inner("sessions")),
        arms=_arms(top),
        order=top.take("order", _order, "ABBA"),
        repeats=top.take("repeats", keys.whole, 1),
        warmup_calls=top.take("warmup_calls", keys.whole_or_none, 16),
        concurrency=top.take("concurrency", keys.whole, 1),
        tool_time=top.take("tool_time", _tool_time, 0.0),
        longest_wait_s=top.take("longest_wait_s", keys.number, 60.0),
        send_lag_ms=top.take("send_lag_ms", keys.number, 10.0),
        mode=top.take("mode", _mode, "performance"),
        forced=top.take("forced", _forced, "lengths"),
        thinking=top.take("thinking", _thinking, "drop"),
        shards=top.take("shards", keys.whole, 1),
        forecast=forecast,
        calibrations=calibrations,
        endpoint=top.take("endpoint", _endpoint, "chat"),
        equalise=top.maybe("equalise", common_settings.equalise),
        warm_start=top.maybe("warm_start", warm_start),
        slo=_slo(top.inner("slo")) if top.has("slo") else None,
        gpu_price_per_hour=top.maybe("gpu_price_per_hour", keys.positive),
    )
    top.finish()
    return found


def _slo(found: Keys) -> Slo:
    """Read the limits of a call; at least one."""
    limits: dict[str, float] = {}
    for key, (name, unit) in SLO_KEYS.items():
        limit = found.maybe(key, keys.positive)
        if limit is not None:
            limits[name] = limit / unit
    found.finish()
    if not limits:
        raise found.wrong("", f"must have at least one of {', '.join(SLO_KEYS)}")
    return Slo(**limits)


def warm_start(value: object) -> WarmStart:
    """Take a share of a session's calls, a number of calls, or `random`."""
    if value == "random":
        return "random"
    if isinstance(value, float) and 0 < value < 1:
        return value
    try:
        return keys.whole(value)
    except UsageError:
        raise UsageError(
            "must be a share of a session's calls such as 0.5, a whole number of calls, or random, "
            f"not `{value}`"
        ) from None


def sessions(found: Keys) -> SessionChoice:
    """Read the mapping that says which sessions."""
    choice = SessionChoice(
        source=found.maybe("source", keys.word),
        limit=found.maybe("limit", keys.whole),
        max_calls=found.maybe("max_calls", keys.whole),
        ids=found.take("ids", keys.words, ()),
        sample=_sample(found),
        seed=found.take("seed", keys.whole_or_none, 0),
        keep_duplicates=found.take("keep_duplicates", keys.truth, False),
        keep_secrets=found.take("keep_secrets", keys.truth, False),
    )
    found.finish()
    return choice


VLLM_AGAINST_SGLANG = "vllm-against-sglang"
"""the preset of a plan that stands for an arm of each, the baseline first"""


def _arms(top: Keys) -> tuple[Arm, ...]:
    """Read `arms`, or the keys of a preset that stands for them."""
    if not top.has("preset"):
        return tuple(arm(one) for one in top.items("arms"))
    top.take("preset", _plan_preset)
    model = top.take("model", keys.word)
    shared: tuple[str, ...] = top.take("presets", preset_names, ())
    vllm, sglang = top.inner("vllm"), top.inner("sglang")
    arms = (
        VllmArm(**managed("vllm", vllm, model=model, shared=shared)),
        SglangArm(**managed("sglang", sglang, model=model, shared=shared)),
    )
    vllm.finish()
    sglang.finish()
    return arms


def _sample(found: Keys) -> Sample:
    """Read the rule; `newest: true` is its older spelling."""
    if found.has("newest") and found.has("sample"):
        raise found.wrong("newest", "contradicts `sample`; write  sample: newest")
    if found.take("newest", keys.truth, False):
        return "newest"
    return found.take("sample", _rule, "oldest")


def _rule(value: object) -> Sample:
    for rule in SAMPLES:
        if value == rule:
            return rule
    raise UsageError(f"must be one of {', '.join(SAMPLES)}, not `{value}`")


def _forecast(found: Keys) -> tuple[SimulatedOptions, dict[str, str]]:
    """Read where step times come from, and the calibrations of single arms."""
    arms = found.inner("arms")
    calibrations = {name: arms.take(name, keys.word) for name in arms.names()}
    options = step_times(found)
    found.finish()
    return options, calibrations


def _plan_preset(value: object) -> str:
    if value != VLLM_AGAINST_SGLANG:
        raise UsageError(
            f"must be {VLLM_AGAINST_SGLANG}, not `{value}`; presets of an arm are in its `presets`"
        )
    return VLLM_AGAINST_SGLANG


def _order(value: object) -> Order:
    if value == "ABBA":
        return "ABBA"
    if value == "once":
        return "once"
    raise UsageError(f"must be ABBA or once, not `{value}`")


def _mode(value: object) -> Mode:
    if value == "performance":
        return "performance"
    if value == "quality":
        return "quality"
    raise UsageError(f"must be performance or quality, not `{value}`")


def _forced(value: object) -> Forced:
    if value == "lengths":
        return "lengths"
    if value == "tokens":
        return "tokens"
    raise UsageError(f"must be lengths or tokens, not `{value}`")


def _thinking(value: object) -> Thinking:
    if value == "drop":
        return "drop"
    if value == "text":
        return "text"
    raise UsageError(f"must be drop or text, not `{value}`")


def _endpoint(value: object) -> EndpointChoice:
    known: tuple[EndpointChoice, ...] = get_args(EndpointChoice)
    found = next((one for one in known if one == value), None)
    if found is None:
        raise UsageError(f"must be one of {', '.join(known)}, not `{value}`")
    return found


def _tool_time(value: object) -> float:
    """Read `off`, `recorded`, or a fraction of the recorded time."""
    if value in ("off", "recorded"):
        return float(value == "recorded")
    try:
        return keys.number(value)
    except UsageError:
        raise UsageError(
            f"must be off, recorded, or a fraction of the recorded time, not `{value}`"
        ) from None

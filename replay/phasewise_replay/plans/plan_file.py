"""Read a plan from YAML.  `docs/replay.md` shows every key."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, get_args

from phasewise_analyzer.chat_messages.facts import Thinking
from phasewise_analyzer.engine.outcomes.slo import Slo
from phasewise_analyzer.engine.runs.layout import Layout
from phasewise_analyzer.engine.runs.routers import ROUTERS
from phasewise_store.errors import UsageError

from phasewise_replay.plans import common_settings
from phasewise_replay.plans import plan_keys as keys
from phasewise_replay.plans.plan import (
    SAMPLES,
    SLO_KEYS,
    Arm,
    EndpointChoice,
    Mode,
    Order,
    Plan,
    Sample,
    Scheduler,
    SessionChoice,
    SglangArm,
    SimulatedArm,
    SimulatedOptions,
    UrlArm,
    VllmArm,
    WarmStart,
)
from phasewise_replay.plans.plan_keys import Keys
from phasewise_replay.plans.presets import FlagValue, chosen


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
        thinking=top.take("thinking", _thinking, "drop"),
        shards=top.take("shards", keys.whole, 1),
        forecast=_forecast(top.inner("forecast")) if top.has("forecast") else None,
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
    shared: tuple[str, ...] = top.take("presets", _presets, ())
    vllm, sglang = top.inner("vllm"), top.inner("sglang")
    arms = (
        VllmArm(**_managed("vllm", vllm, model=model, shared=shared)),
        SglangArm(**_managed("sglang", sglang, model=model, shared=shared)),
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


def arm(found: Keys) -> Arm:
    """Read one entry of `arms`."""
    name = found.take("name", keys.word)
    made = _MAKERS[found.take("engine", _engine)](name, found)
    found.finish()
    return made


def _vllm(name: str, found: Keys) -> VllmArm:
    return VllmArm(**_managed(name, found))


def _sglang(name: str, found: Keys) -> SglangArm:
    return SglangArm(**_managed(name, found))


class _Managed(TypedDict):
    """The fields of an arm whose server the run starts."""

    name: str
    model: str
    presets: tuple[str, ...]
    flags: Mapping[str, FlagValue]
    env: Mapping[str, str]
    python: str | None
    start_timeout_s: float
    draft_model: str | None


def _managed(
    name: str, found: Keys, *, model: str | None = None, shared: tuple[str, ...] = ()
) -> _Managed:
    """Read an arm; `model` and the `shared` presets are those of all arms of the plan."""
    own: tuple[str, ...] = found.take("presets", _presets, ())
    presets = shared + own
    draft_model = found.maybe("draft_model", keys.word)
    needing = [one.name for one in chosen(presets) if one.needs_draft_model]
    if needing and draft_model is None:
        raise found.wrong("draft_model", f"is missing: `{needing[0]}` speculates with that model")
    return _Managed(
        name=name,
        model=found.take("model", keys.word, model),
        presets=presets,
        flags=found.take("flags", flags, {}),
        env=found.take("env", _environment, {}),
        python=found.maybe("python", keys.word),
        start_timeout_s=found.take("start_timeout_s", keys.number, 900.0),
        draft_model=draft_model,
    )


def _url(name: str, found: Keys) -> UrlArm:
    return UrlArm(
        name=name,
        url=found.take("url", _address),
        model=found.maybe("model", keys.word),
        key_variable=found.maybe("key_variable", keys.word),
    )


def _forecast(found: Keys) -> SimulatedOptions:
    options = _step_times(found)
    found.finish()
    return options


def _step_times(found: Keys) -> SimulatedOptions:
    # a calibration holds for the GPU and the model that it was measured on
    calibration = found.maybe("calibration", keys.word)
    measured = calibration is not None
    return SimulatedOptions(
        gpu=None if measured else found.take("gpu", keys.word),
        model=None if measured else found.take("model", keys.word),
        kernels=None if measured else found.maybe("kernels", keys.word),
        scheduler=found.take("scheduler", _scheduler, "vllm"),
        calibration=calibration,
    )


def _simulated(name: str, found: Keys) -> SimulatedArm:
    options = replace(
        _step_times(found),
        kv_blocks=found.maybe("kv_blocks", keys.whole),
        replicas=found.take("replicas", keys.whole, 1),
        router=found.maybe("router", _router),
        prefill_engines=found.maybe("prefill_engines", keys.whole),
        decode_engines=found.maybe("decode_engines", keys.whole),
        kv_copy_gb_s=found.maybe("kv_copy_gb_s", keys.number),
        flags=found.take("flags", flags, {}),
        prefix_caching=found.maybe("prefix_caching", keys.truth),
        chunk_tokens=found.maybe("chunk_tokens", keys.whole),
        block_tokens=found.maybe("block_tokens", keys.whole),
    )
    names: tuple[str, ...] = found.take("presets", _presets, ())
    for preset in chosen(names):
        unset = {key: value for key, value in preset.layout.items() if not getattr(options, key)}
        options = replace(options, **unset)  # type: ignore[arg-type]  # a test reads all
    layout(options)
    return SimulatedArm(name=name, options=options, presets=names)


_MAKERS: Mapping[str, Callable[[str, Keys], Arm]] = {
    "vllm": _vllm,
    "sglang": _sglang,
    "url": _url,
    "simulated": _simulated,
}


_OURS = frozenset({"model", "model-path", "host", "port"})
"""server flags that the run sets itself"""


def _engine(value: object) -> str:
    if value not in _MAKERS:
        raise UsageError(f"must be one of {', '.join(_MAKERS)}, not `{value}`")
    return str(value)


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


def layout(options: SimulatedOptions) -> Layout:
    """Return how many engines an arm has; raises UsageError where the numbers contradict."""
    copy_gb_s = options.kv_copy_gb_s
    return Layout(
        options.replicas,
        options.router,
        options.prefill_engines or 0,
        options.decode_engines or 0,
        None if copy_gb_s is None else copy_gb_s * 1e9,
    )


def _scheduler(value: object) -> Scheduler:
    if value == "vllm":
        return "vllm"
    if value == "sglang":
        return "sglang"
    raise UsageError(f"must be vllm or sglang, not `{value}`")


def _router(value: object) -> str:
    if value not in ROUTERS:
        raise UsageError(f"must be one of {', '.join(ROUTERS)}, not `{value}`")
    return str(value)


def _presets(value: object) -> tuple[str, ...]:
    names = keys.words(value)
    chosen(names)
    return names


def flags(value: object) -> Mapping[str, FlagValue]:
    """Take a mapping from server flags to values; the dashes in front are left out."""
    if not isinstance(value, dict):
        raise UsageError("must be a mapping from server flags to values")
    found: dict[str, FlagValue] = {}
    for name, setting in value.items():
        if not isinstance(setting, bool | int | float | str | dict | list):
            raise UsageError(f"flag `{name}` has no value; for a flag without a value write true")
        plain = str(name).lstrip("-").replace("_", "-")
        if plain in _OURS:
            raise UsageError(f"flag `{plain}` is set by the run itself; remove it")
        found[plain] = setting
    return found


def _environment(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise UsageError("must be a mapping from environment variables to values")
    return {str(name): str(setting) for name, setting in value.items()}


def _address(value: object) -> str:
    address = keys.word(value).rstrip("/").removesuffix("/v1")
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"must start with http:// or https://, not `{value}`")
    return address

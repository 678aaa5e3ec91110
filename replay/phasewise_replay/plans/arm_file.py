"""Read one arm of a plan from YAML."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypedDict

from phasewise_analyzer.engine.runs.layout import Layout
from phasewise_analyzer.engine.runs.routers import ROUTERS
from phasewise_store.errors import UsageError

from phasewise_replay.plans import plan_keys as keys
from phasewise_replay.plans.arms import (
    Arm,
    Scheduler,
    SglangArm,
    SimulatedArm,
    SimulatedOptions,
    UrlArm,
    VllmArm,
)
from phasewise_replay.plans.plan_keys import Keys
from phasewise_replay.plans.presets import FlagValue, chosen


def arm(found: Keys) -> Arm:
    """Read one entry of `arms`."""
    name = found.take("name", keys.word)
    made = _MAKERS[found.take("engine", _engine)](name, found)
    found.finish()
    return made


def _vllm(name: str, found: Keys) -> VllmArm:
    return VllmArm(**managed(name, found))


def _sglang(name: str, found: Keys) -> SglangArm:
    return SglangArm(**managed(name, found))


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


def managed(
    name: str, found: Keys, *, model: str | None = None, shared: tuple[str, ...] = ()
) -> _Managed:
    """Read an arm; `model` and the `shared` presets are those of all arms of the plan."""
    own: tuple[str, ...] = found.take("presets", preset_names, ())
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


def step_times(found: Keys) -> SimulatedOptions:
    """Read where step times come from."""
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
        step_times(found),
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
    names: tuple[str, ...] = found.take("presets", preset_names, ())
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


def _engine(value: object) -> str:
    if value not in _MAKERS:
        raise UsageError(f"must be one of {', '.join(_MAKERS)}, not `{value}`")
    return str(value)


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


def preset_names(value: object) -> tuple[str, ...]:
    """Read names of presets; raises UsageError where one is unknown or two disagree."""
    names = keys.words(value)
    chosen(names)
    return names


_OURS = frozenset({"model", "model-path", "host", "port"})
"""server flags that the run sets itself"""


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

"""Write a plan as the YAML that `plan_file` reads."""

from collections.abc import Mapping
from dataclasses import asdict

import yaml
from phasewise_analyzer.engine.outcomes.slo import Slo

from phasewise_replay.plans.arms import Arm, SimulatedArm
from phasewise_replay.plans.plan import Plan

STEP_TIMES = ("gpu", "model", "kernels", "calibration")
"""options that say where step times come from"""


def as_yaml(plan: Plan) -> str:
    """Write a plan so that `plan_file.parse` reads the same one."""
    document = asdict(plan)
    document["sessions"] = _set(document["sessions"])
    document["arms"] = [arm_document(arm) for arm in plan.arms]
    for name, usual in (("shards", 1), ("send_lag_ms", 10.0), ("forced", "lengths")):
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
        arms = {"arms": dict(plan.calibrations)}
        document["forecast"] = _set(document["forecast"] | arms)
    del document["calibrations"]
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

"""A night's result for other programs: JUnit XML for CI, Prometheus text for monitoring.

The same night gives the same bytes.
"""

from collections.abc import Callable, Iterator, Mapping
from xml.etree import ElementTree

from phasewise_replay.nights.nightly import Night
from phasewise_replay.verdicts.service_facts import ArmService
from phasewise_replay.verdicts.verdict import Metric


def render_junit(night: Night) -> str:
    """Return JUnit XML: a test case for each arm, fidelity check and gated measure.

    A measure fails when it got worse than its gate allows.
    """
    verdict = night.verdict
    suite = ElementTree.Element("testsuite", name=verdict.name)
    for arm in verdict.arms:
        case = _case(suite, "arms", arm.name)
        if arm.status == "failed":
            _failure(case, arm.reason or arm.status)
        elif arm.status != "ok":
            ElementTree.SubElement(case, "skipped", message=arm.reason or arm.status)
    for check in verdict.fidelity.checks:
        case = _case(suite, "fidelity", check.title)
        if not check.passed:
            _failure(case, f"{check.value} (required: {check.limit}) {check.detail}".strip())
    worse = {(one.arm, one.metric.name): one for one in night.regressions}
    for metric in night.changes:
        case = _case(suite, f"since {night.last_run_id}.{metric.compared}", metric.title)
        regression = worse.get((metric.compared, metric.name))
        if regression is not None:
            _failure(
                case,
                f"{metric.baseline:.4g} to {metric.arm:.4g} {metric.unit}, "
                f"{regression.worse_percent:.1f} % worse "
                f"(allowed {regression.allowed_percent:g} %)",
            )
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def render_prometheus(night: Night) -> str:
    """Return the text format 0.0.4, for example for node_exporter's textfile collector."""
    verdict = night.verdict
    run = f'name="{_label(verdict.name)}"'
    lines = [
        *_family("phasewise_night_passed", "1 if valid and without a regression"),
        f"phasewise_night_passed{{{run}}} {int(night.passed)}",
        *_family("phasewise_night_started_seconds", "start of the run, since the Unix epoch"),
        f"phasewise_night_started_seconds{{{run}}} {verdict.started_ns / 1e9:.3f}",
        *_family("phasewise_night_regressions", "measures that got worse than allowed"),
        f"phasewise_night_regressions{{{run}}} {len(night.regressions)}",
        *_family("phasewise_measure", "mean per session of an arm, in the unit of the measure"),
        *(f"phasewise_measure{{{run},{labels}}} {value!r}" for labels, value in _measures(night)),
        *_family("phasewise_measure_change", "share by which a measure changed since last night"),
        *(
            f"phasewise_measure_change{{{run},{_labels(metric.compared, metric)}}} "
            f"{metric.difference / metric.baseline!r}"
            for metric in night.changes
            if metric.baseline
        ),
        *_service(night),
    ]
    return "\n".join(lines) + "\n"


def _measures(night: Night) -> Iterator[tuple[str, float]]:
    """Yield the labels and the value of every arm's measures, the baseline's once."""
    verdict = night.verdict
    baseline = verdict.arms[0].name
    seen: set[str] = set()
    for metric in verdict.metrics or verdict.control.metrics:
        labels = _labels(baseline, metric)
        if labels not in seen:
            seen.add(labels)
            yield labels, metric.baseline
    for metric in verdict.metrics:
        yield _labels(metric.compared, metric), metric.arm


def _service(night: Night) -> Iterator[str]:
    """Yield a family for each figure of how the arms served, where any of them has it."""
    run = f'name="{_label(night.verdict.name)}"'
    for name, (meaning, figure) in SERVICE.items():
        found = [(one.arm, figure(one)) for one in night.verdict.service]
        known = [(arm, value) for arm, value in found if value is not None]
        if known:
            yield from _family(f"phasewise_arm_{name}", meaning)
        for arm, value in known:
            yield f'phasewise_arm_{name}{{{run},arm="{_label(arm)}"}} {value!r}'


SERVICE: Mapping[str, tuple[str, Callable[[ArmService], float | None]]] = {
    "sessions_per_hour": ("while a session was measured", lambda one: one.sessions_hour),
    "calls_per_second": ("while a session was measured", lambda one: one.calls_s),
    "goodput_share": (
        "share of the calls within the SLO of the plan",
        lambda one: None if one.goodput is None else one.goodput.share,
    ),
    "goodput_calls_per_second": (
        "calls within the SLO of the plan",
        lambda one: None if one.goodput is None else one.goodput.calls_s,
    ),
    "cached_share": ("cached tokens of all input tokens", lambda one: one.hit_rates.by_tokens),
    "cached_share_of_calls": (
        "mean over the calls of cached tokens of input tokens",
        lambda one: one.hit_rates.by_calls,
    ),
    "cached_share_of_reachable": (
        "cached tokens of those that an endless cache would have had",
        lambda one: one.hit_rates.of_reachable,
    ),
    "preemptions": ("preemptions per block", lambda one: one.preemptions),
    "kv_use_peak": (
        "largest share of the KV cache that running requests held",
        lambda one: one.kv_use_peak,
    ),
    "session_usd": ("engine time of a session in dollars", lambda one: one.usd),
    "session_energy_joules": ("energy of the GPU per session", lambda one: one.energy_j),
}
"""by the name of the family: its meaning, and the figure"""


def _labels(arm: str, metric: Metric) -> str:
    return f'arm="{_label(arm)}",measure="{metric.name}",unit="{metric.unit}"'


def _label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _family(name: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=group, name=name)


def _failure(case: ElementTree.Element, message: str) -> None:
    ElementTree.SubElement(case, "failure", message=message)

"""A night for CI and monitoring: every gate is a test case, every measure a sample."""

from xml.etree import ElementTree

import pytest
from phasewise_replay.engines import prometheus
from phasewise_replay.nights import nightly, nightly_file
from phasewise_replay.nights.nightly import Night
from phasewise_replay.runs.run import run
from phasewise_reports import night_report
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_run import SIMULATED


@pytest.fixture
def night(store: Store) -> Night:
    """Run two nights; in the second the GPU is slower.  One arm has a hostile name."""
    write_sessions(store)
    text = SIMULATED.replace("name: on,", "name: 'a\"<b>&\\\\',")
    for gpu in ("h100-sxm", "a100-80gb"):
        file = nightly_file.parse(text.replace("h100-sxm", gpu), "made")
        run_id = run(store, file.plan)
    return nightly.judge(store, run_id, file.gates)


def test_junit_has_a_case_for_each_arm_check_and_measure(night: Night) -> None:
    """And as many failures as regressions; names survive the escaping."""
    suite = ElementTree.fromstring(night_report.render_junit(night))
    cases = suite.findall("testcase")
    verdict = night.verdict
    expected = len(verdict.arms) + len(verdict.fidelity.checks) + len(night.changes)
    assert len(cases) == expected == int(suite.attrib["tests"])
    failed = [case for case in cases if case.find("failure") is not None]
    assert len(failed) == len(night.regressions) == int(suite.attrib["failures"])
    assert night.regressions
    assert verdict.arms[1].name in {case.attrib["name"] for case in cases}


def test_prometheus_text_is_read_back(night: Night) -> None:
    """The result, and every arm's measure with its labels."""
    samples = prometheus.parse(night_report.render_prometheus(night))
    assert prometheus.total(samples, "phasewise_night_passed") == 0
    assert prometheus.total(samples, "phasewise_night_regressions") == len(night.regressions)
    metric = night.verdict.metrics[0]
    found = {
        (one.labels["arm"], one.labels["measure"]): one.value
        for one in samples
        if one.name == "phasewise_measure"
    }
    assert found[night.verdict.arms[0].name, metric.name] == metric.baseline
    assert found[metric.compared, metric.name] == metric.arm
    changes = [one for one in samples if one.name == "phasewise_measure_change"]
    assert any(one.labels["measure"] == "prefill_s" and one.value > 0 for one in changes)


def test_prometheus_text_says_how_each_arm_served(night: Night) -> None:
    """A family per figure; what nobody has, as goodput without an SLO, is left out."""
    samples = prometheus.parse(night_report.render_prometheus(night))
    off, on = night.verdict.service
    found = {(one.name, one.labels["arm"]): one.value for one in samples if "arm" in one.labels}
    for arm in (off, on):
        assert found["phasewise_arm_sessions_per_hour", arm.arm] == arm.sessions_hour
        assert found["phasewise_arm_session_usd", arm.arm] == arm.usd
        assert found["phasewise_arm_cached_share", arm.arm] == arm.hit_rates.by_tokens
    assert not {one.name for one in samples} & {
        *("phasewise_arm_goodput_share", "phasewise_arm_session_energy_joules"),
    }


def test_the_same_night_gives_the_same_bytes(night: Night) -> None:
    """Both forms."""
    for render in (night_report.render_junit, night_report.render_prometheus):
        assert render(night) == render(night)

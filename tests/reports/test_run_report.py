"""The report of a run: one file, the same bytes, its facts inside."""

import json
import re

import pytest
from phasewise_replay.plans import plan_file
from phasewise_replay.runs.run import run
from phasewise_replay.verdicts.compare import compare
from phasewise_replay.verdicts.verdict import Verdict
from phasewise_reports import run_report
from phasewise_store.store import Store

from tests.replay.recorded import write_sessions
from tests.replay.test_run import SIMULATED


@pytest.fixture
def verdict(store: Store) -> Verdict:
    """Judge a simulated run whose arm has a hostile name."""
    write_sessions(store)
    text = SIMULATED.replace("name: on,", 'name: "</script><b>|on",')
    return compare(store, run(store, plan_file.parse(text, "made")))


def test_the_html_stands_alone(verdict: Verdict) -> None:
    """No link, no source, no import: styles and facts are in the file."""
    page = run_report.render_html(verdict)
    assert not re.search(r"(?:href|src)=|@import|url\(", page)
    assert page.count("<style>") == 1
    assert verdict.headline.split(":")[1].split("(")[0].strip() in page


def test_the_facts_inside_are_the_verdict(verdict: Verdict) -> None:
    """The JSON element parses to what `compare --json` prints, hostile names and all."""
    page = run_report.render_html(verdict)
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    assert json.loads(found[1]) == json.loads(run_report.render_json(verdict))
    assert "<b>|on" not in page.replace(found[1], "")


def test_the_same_verdict_gives_the_same_bytes(verdict: Verdict) -> None:
    """HTML, Markdown and JSON."""
    for render in (run_report.render_html, run_report.render_markdown, run_report.render_json):
        assert render(verdict) == render(verdict)


def test_simulated_arms_say_what_their_step_times_stand_on(verdict: Verdict) -> None:
    """Page, Markdown and JSON name the kind, the source and that no error was measured."""
    basis = verdict.arms[0].step_times
    assert basis is not None
    assert basis.in_words == f"roofline, {basis.source}, error not measured"
    assert f"step times: {basis.in_words}" in run_report.render_html(verdict)
    assert f"step times: {basis.in_words}" in run_report.render_markdown(verdict)
    found = json.loads(run_report.render_json(verdict))
    assert found["arms"][0]["step_times"] == {
        "kind": "roofline",
        "source": basis.source,
        "error": None,
    }


def test_markdown_has_every_metric_and_check(verdict: Verdict) -> None:
    """One row each, cells that do not break the table."""
    text = run_report.render_markdown(verdict)
    for metric in verdict.metrics:
        assert f"| {metric.title} |" in text
    for check in verdict.fidelity.checks:
        assert f"| {check.title} |" in text

"""A replay run as a report: one self-contained HTML file, Markdown, or JSON.

The same verdict gives the same bytes.
"""

from functools import cache

from jinja2 import Environment
from markupsafe import Markup
from phasewise_replay.verdicts.verdict import Verdict

from phasewise_reports import charts, templating
from phasewise_reports.json_form import to_json


def render_html(verdict: Verdict) -> str:
    """Return one self-contained HTML file, with the data as JSON inside."""
    facts = to_json(verdict, sort_keys=True).replace("<", "\\u003c")  # `</script>` in a name
    return (
        _environment()
        .get_template("run.html")
        .render(
            verdict=verdict,
            plot=charts.interval_plot(verdict.metrics, verdict.control.metrics),
            style=Markup(templating.style()),  # noqa: S704  # our own file
            facts=Markup(facts),  # noqa: S704  # escaped above, for a script element
        )
    )


def render_markdown(verdict: Verdict) -> str:
    """Return Markdown with the same tables."""
    tables = [
        (arm.name, [metric for metric in verdict.metrics if metric.compared == arm.name])
        for arm in verdict.arms[1:]
    ]
    tables.append(("A/A control: the baseline against itself", list(verdict.control.metrics)))
    return _environment().get_template("run.md").render(verdict=verdict, tables=tables)


def render_json(verdict: Verdict) -> str:
    """Return the facts."""
    return to_json(verdict, sort_keys=True) + "\n"


@cache
def _environment() -> Environment:
    return templating.environment()

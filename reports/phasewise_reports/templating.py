"""The Jinja environment that pages and reports share: macros, filters, escaping always on."""

from functools import cache
from importlib import resources

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    select_autoescape,
)

from phasewise_reports.words import FILTERS


def environment(*, extra: BaseLoader | None = None) -> Environment:
    """Make an environment; `extra` templates are looked for first.  Only `.md` is not escaped."""
    own = PackageLoader("phasewise_reports")
    made = Environment(
        loader=own if extra is None else ChoiceLoader([extra, own]),
        autoescape=select_autoescape(disabled_extensions=("md",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    return made


@cache
def style() -> str:
    """Return the one style sheet."""
    return resources.files("phasewise_reports").joinpath("templates/style.css").read_text("utf-8")

"""The command line's page in the docs."""

from pathlib import Path

from phasewise_web.cli.reference import markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def test_the_committed_page_is_what_the_commands_print() -> None:
    """`docs/cli.md` is printed by `python -m phasewise_web.cli.reference`."""
    assert PAGE.read_text() == markdown()

"""The glossary: one meaning a word, and the page that is printed from it."""

import re
from importlib import resources
from pathlib import Path

import pytest
from phasewise_analyzer.breaks.facts import Breaks
from phasewise_analyzer.findings import Totals
from phasewise_analyzer.ledger.facts import Line
from phasewise_reports import glossary

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_words_print() -> None:
    """`docs/glossary.md` is the output of the module."""
    assert (DOCS / "glossary.md").read_text("utf-8") == glossary.markdown()


def test_every_word_has_one_meaning() -> None:
    """No name and no field of JSON stands for two things, but for tokens and dollars lost."""
    words = [word for section in glossary.sections() for word in section.words]
    names = [word.name for word in words]
    fields = [field for word in words for field in word.json if field != "lost_tokens"]
    assert len(names) == len(set(names))
    assert len(fields) == len(set(fields))


def test_an_unknown_word_is_an_error() -> None:
    """A column head cannot show what the glossary does not define."""
    with pytest.raises(KeyError):
        glossary.meaning("avoidable")


@pytest.mark.parametrize("package", ["phasewise_web", "phasewise_reports"])
def test_templates_use_no_word_that_is_gone(package: str) -> None:
    """Avoidable, sent again and reusable were five words for three things."""
    folder = resources.files(package).joinpath("templates")
    for page in folder.iterdir():
        if page.name.endswith((".html", ".md")):
            text = page.read_text("utf-8")
            assert not re.search(r"avoidable|re-?paid|reusable", text), page.name


def test_the_sums_of_a_table_are_in_the_glossary() -> None:
    """Every sum of tokens, dollars and prefill time that states or waste have is defined."""
    defined = {field for part in glossary.sections() for word in part.words for field in word.json}
    states = {name for name in Totals.__slots__ if re.match(r"(sent|missed|unrep|wasted)", name)}
    money = {name for name in Totals.__slots__ if name.startswith(("prefill_", "saved_"))}
    assert states | money <= defined
    assert {"waste", "wasted_usd"} <= defined & set(Breaks.__slots__)
    assert "extra_usd" in defined & set(Line.__slots__)

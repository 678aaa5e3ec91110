"""The words that pages, reports, commands and JSON share: `glossary.toml`, one meaning each.

Column heads show a word's meaning; `python -m phasewise_reports.glossary > docs/glossary.md` prints
the page, and a test holds it true.
"""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

HEAD = """\
# Glossary

Generated from `reports/phasewise_reports/glossary.toml` by
`python -m phasewise_reports.glossary > docs/glossary.md`; a test keeps it up to date. Pages show
these sentences as tooltips of column headers.
"""


@dataclass(frozen=True, slots=True)
class Word:
    """One word."""

    name: str
    unit: str
    meaning: str
    """one or two sentences"""
    formula: str
    json: tuple[str, ...]
    """the fields of JSON, and the columns of the store, that hold it"""


@dataclass(frozen=True, slots=True)
class Section:
    """Words that belong together."""

    title: str
    text: str
    words: tuple[Word, ...]


@cache
def sections() -> tuple[Section, ...]:
    """Return all words."""
    text = resources.files("phasewise_reports").joinpath("glossary.toml").read_text("utf-8")
    return tuple(
        Section(
            title=section["title"],
            text=section.get("text", "").strip(),
            words=tuple(
                Word(one["name"], one["unit"], one["meaning"], one["formula"], tuple(one["json"]))
                for one in section["word"]
            ),
        )
        for section in tomllib.loads(text)["section"]
    )


@cache
def _by_name() -> dict[str, Word]:
    return {word.name: word for section in sections() for word in section.words}


def meaning(name: str) -> str:
    """Return the sentence of a word; a word that is not in the glossary is a KeyError."""
    return _by_name()[name].meaning


def markdown() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *("\n".join(_section(one)) for one in sections())])


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n"
    if section.text:
        yield f"{section.text}\n"
    yield "| word | unit | meaning | formula | JSON |"
    yield "|---|---|---|---|---|"
    for word in section.words:
        fields = ", ".join(f"`{name}`" for name in word.json)
        yield f"| **{word.name}** | {word.unit} | {word.meaning} | {word.formula} | {fields} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(markdown())

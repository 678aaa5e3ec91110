"""The page of policies: as printed, and complete."""

import re
from pathlib import Path

from phasewise_analyzer.caches import book
from phasewise_analyzer.caches.page import markdown, rule

PAGE = Path(__file__).resolve().parents[3] / "docs" / "policies.md"


def test_the_committed_page_is_what_the_records_print() -> None:
    """`docs/policies.md` is printed by `python -m phasewise_analyzer.caches.page`."""
    assert PAGE.read_text("utf-8") == markdown()


def test_every_record_stands_on_the_page_with_its_rule_and_sources() -> None:
    """No record is left out, and none without its address and the day it was seen."""
    page = markdown()
    for policy in book.read().policies:
        assert f"| [{policy.id}](#" in page
        section = page.split(f"### {policy.id}\n")[1].split("\n### ")[0]
        assert rule(policy) in page
        for source in policy.sources:
            assert f"<{source.url}>, seen {source.seen}" in section


def test_the_example_of_an_own_record_is_one() -> None:
    """The YAML that the page shows can be read."""
    example = re.search(r"```yaml\n(.*?)```", markdown(), re.DOTALL)
    assert example is not None
    assert book.parse(example[1], "example.yaml").named("mine/gateway").min_tokens == 1024

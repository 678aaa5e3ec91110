"""What the docs show is true: plans parse, links lead somewhere, settings are documented."""

import re
import tomllib
from pathlib import Path

import pytest
from phasewise import settings
from phasewise_analyzer.caches import book
from phasewise_replay.gpu import kit_plan
from phasewise_replay.nights import nightly_file
from phasewise_replay.plans import plan_file
from phasewise_replay.plans.common_settings import common_settings
from phasewise_replay.plans.presets import presets

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    """Every link and picture without a scheme is a file or folder of the repository."""
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_shown_are_such_files(page: Path) -> None:
    """Each block of YAML is a plan, a GPU plan, a nightly file, or a record of a cache policy."""
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        if "records:" in block:
            assert book.parse(block, page.name).policies
        elif "stages:" in block:
            assert kit_plan.parse(block, page).stages
        elif "gates:" in block:
            assert nightly_file.parse(block, page.name).plan.arms
        else:
            assert plan_file.parse(block, page.name).arms


def test_every_preset_and_setting_is_documented() -> None:
    """Presets in the replay page, the tracer's settings and variables in the first trace."""
    replay = (ROOT / "docs" / "replay.md").read_text()
    for name in presets():
        stem, _, ending = name.rpartition("-")
        assert f"`{name}`" in replay or (f"{stem}-" in replay and f"`-{ending}`" in replay), name
    first = (ROOT / "docs" / "first-trace.md").read_text()
    for setting in settings.ALL:
        assert f"`{setting.name}`" in first
        assert all(f"`{variable}`" in first for variable in setting.variables)


def test_every_common_setting_is_documented_with_its_flags() -> None:
    """The table of `equalise` in the replay page has a row for each."""
    replay = (ROOT / "docs" / "replay.md").read_text()
    for one in common_settings().values():
        assert f"| `{one.name}` | `{one.vllm.flag}` | `{one.sglang.flag}` |" in replay


def test_the_lock_pins_what_the_project_names() -> None:
    """A dependency that was added without `make lock` is missing on a clean machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["server"],
        *project["dependency-groups"]["dev"],
    ]
    pinned = {
        line.split("==")[0].split("[")[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    for requirement in named:
        name = re.split(r"[\[<>=;! ]", requirement)[0].lower().replace("_", "-")
        assert name in pinned, f"{name}: run  make lock"

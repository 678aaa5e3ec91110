"""Pages in real Chromium: drawn, inside their window, sound to axe-core, whole on paper."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import pytest
from phasewise_replay.verdicts.compare import compare
from phasewise_reports import run_report
from phasewise_store import nights, runs
from phasewise_store.store import Store
from phasewise_web.app import make_app
from phasewise_web.pages.address import call_path, nights_path, run_path, session_path

from tests.web.client import over_a_socket
from tests.web.conftest import HOSTILE

pytestmark = pytest.mark.browser

BROWSE = Path(__file__).with_name("browse.mjs")
MODULES = Path(__file__).parents[2] / ".engines" / "browser"
PAPER_MM = {"A4": 210, "Letter": 215.9}
MARGIN_MM = 12
"""of the style sheet's `@page`"""


@dataclass(frozen=True, slots=True)
class Look:
    """One page in one window, or on one paper."""

    url: str
    width: int
    scheme: Literal["light", "dark"] = "light"
    media: Literal["screen", "print"] = "screen"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is wrong with it."""

    scrolls: bool
    """whether it is wider than its window"""
    wide: bool
    """whether one of its tables or pictures is, and scrolls by itself"""
    violations: list[str]
    """of axe-core's rules"""
    cut: list[str]
    """cells, lines and words that lie outside"""
    rows: int
    headings: int
    refused: list[str]
    """what it logged, such as what its content security policy kept it from"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """Find the browser."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs Chromium; install it with:  make browser")
    return found


@pytest.fixture(scope="module")
def address(seen: Store) -> Iterator[str]:
    """Serve the real application."""
    with over_a_socket(make_app(seen)) as address:
        yield address


def pages(store: Store) -> list[str]:
    """Give one address of each kind of page."""
    sessions = store.frame(
        "SELECT min(session_id) FROM sessions GROUP BY source_id ORDER BY source_id LIMIT 6"
    )
    calls = store.frame(
        "SELECT min(call_id) FROM llm_calls GROUP BY source_id ORDER BY source_id LIMIT 6"
    )
    return [
        *("/", "/?view=time", "/sessions"),
        *map(session_path, sessions.to_series()),
        *map(call_path, calls.to_series()),
        *("/prefixes", "/prefixes/flame", "/breaks", "/breaks?source=tau2-bench&finding=1"),
        *("/ledger?source=tau2-bench", "/ledger?source=tau2-bench&reason=appended"),
        *("/structure?source=tau2-bench", "/runs", run_path(runs.runs(store)[0].run_id)),
        *map(nights_path, {night.name for night in nights.nights(store)}),
        *("/collector", "/patterns", "/nowhere", "/sessions?offset=-1"),
    ]


def look(chromium: str, looks: Sequence[Look]) -> list[Seen]:
    """Open each page and say what is wrong with it."""
    if not (MODULES / "node_modules" / "axe-core").exists():
        pytest.skip("needs axe-core and playwright-core; install them with:  make browser")
    ended = subprocess.run(
        ["node", BROWSE, MODULES, chromium],
        input=json.dumps([asdict(one) for one in looks]),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [Seen(**one) for one in json.loads(ended.stdout)]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_every_page_is_sound_and_fits_its_window(
    chromium: str, address: str, seen: Store, width: int, scheme: Literal["light", "dark"]
) -> None:
    """No violation of axe-core's rules; pages scroll down only, wide tables by themselves.

    With its content security policy a page loads all that it needs, and logs no refusal.
    """
    looks = [Look(f"{address}{page}", width, scheme) for page in pages(seen)]
    found = list(zip(looks, look(chromium, looks), strict=True))
    assert {page.url: one.violations for page, one in found if one.violations} == {}
    assert [page.url for page, one in found if one.scrolls] == []
    assert [page.url for page, one in found if one.headings != 1] == []
    assert {page.url: one.refused for page, one in found if one.refused} == {}


@pytest.mark.parametrize("source", ["tau2-bench", "kv-cache-tester"])
def test_the_flame_graph_and_its_table_fit_a_laptop(
    chromium: str, address: str, source: str
) -> None:
    """At 1440 pixels the last column is to be seen without scrolling."""
    (found,) = look(chromium, [Look(f"{address}/prefixes/flame?source={source}", 1440)])
    assert not found.wide


@pytest.mark.parametrize("paper", PAPER_MM)
def test_a_report_is_whole_on_paper(chromium: str, seen: Store, tmp_path: Path, paper: str) -> None:
    """Between the margins of A4 and Letter stand every row, the zero line and the verdicts.

    Also with arms, models and engines whose names are long, and on the run's page.
    """
    verdict = compare(seen, "latest")
    long = "an-arm-with-a-name-that-goes-on-and-on/and-on-" + "x" * 40
    arms = tuple(replace(arm, name=long, model=f"organisation/{long}") for arm in verdict.arms)
    metrics = tuple(replace(one, compared=long) for one in verdict.metrics)
    for name, one in (
        ("plain", verdict),
        ("long", replace(verdict, arms=arms, metrics=metrics, run_id=HOSTILE)),
    ):
        (tmp_path / f"{name}.html").write_text(run_report.render_html(one), "utf-8")
    width = int((PAPER_MM[paper] - 2 * MARGIN_MM) / 25.4 * 96)
    looks = [
        Look((tmp_path / f"{name}.html").as_uri(), width, media="print")
        for name in ("plain", "long")
    ]
    for page, found in zip(looks, look(chromium, looks), strict=True):
        assert found.cut == [], page.url
        assert not found.scrolls
        assert found.rows > 2 * len(verdict.metrics)


def run_browser(chromium: str, profile: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the browser once."""
    common = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={profile}",
    ]
    return subprocess.run(
        [chromium, *common, *words], capture_output=True, text=True, timeout=60, check=True
    )


@pytest.mark.parametrize(("scheme", "dark"), [(0, True), (1, False)])
def test_pages_are_drawn_in_light_and_dark(
    chromium: str, address: str, tmp_path: Path, scheme: int, dark: bool
) -> None:
    """The landing page's screenshot is a picture whose paper is of the scheme asked for."""
    picture = tmp_path / "page.png"
    run_browser(
        chromium,
        tmp_path / "profile",
        f"--blink-settings=preferredColorScheme={scheme}",
        "--window-size=800,600",
        f"--screenshot={picture}",
        f"{address}/",
    )
    assert picture.stat().st_size > 10_000
    assert (_corner(picture) < 128) == dark


def _corner(picture: Path) -> int:
    """Give the brightness of a PNG's first pixel; filter type is 0 or harmless on row one."""
    import zlib

    data = picture.read_bytes()
    place, packed, depth = 8, b"", 4
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        kind = data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            depth = {2: 3, 6: 4}[body[9]]
        if kind == b"IDAT":
            packed += body
        place += 12 + length
    row = zlib.decompress(packed)[1 : 1 + depth]
    return sum(row[:3]) // 3

"""Pages in real Chromium: they are drawn, and never wider than the window."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response
from phasewise_analyzer import rollups
from phasewise_collector.hosts import App, Message, Receive, Scope, Send
from phasewise_store import runs
from phasewise_store.store import Store
from phasewise_web.app import make_app

from tests.web.client import over_a_socket

pytestmark = pytest.mark.browser

WIDTHS = (1440, 800, 500)
"""headless Chromium makes no window narrower than 500; the frame below is 390"""
NARROW = 390
FRAMELESS = (b"content-security-policy", b"x-frame-options")


@pytest.fixture(scope="module")
def chromium() -> str:
    """Find the browser."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs Chromium; install it with:  apt-get install chromium")
    return found


class Framed:
    """Takes away what keeps pages out of frames, since a frame is what measures them here."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; pages whose address says `policy` keep their headers."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and b"policy" not in scope["query_string"]:
                kept = [one for one in message["headers"] if one[0] not in FRAMELESS]
                message = {**message, "headers": kept}
            await send(message)

        await self._app(scope, receive, sent)


@pytest.fixture(scope="module")
def address(seen: Store) -> Iterator[str]:
    """Serve the real application, with a test page that measures another one in a frame."""
    app: FastAPI = make_app(seen)
    app.add_middleware(Framed)

    @app.get("/measure")
    def measure(request: Request) -> Response:
        width, page = request.query_params["width"], request.query_params["page"]
        return Response(
            f"<iframe src='{page}' style='width:{width}px;height:900px;border:0'></iframe>"
            "<p id=found></p><script>onload=()=>{const d=document.querySelector('iframe')"
            ".contentDocument.documentElement;found.textContent="
            "`${d.scrollWidth}/${d.clientWidth}`}</script>",
            media_type="text/html",
        )

    with over_a_socket(app) as address:
        yield address


def pages(store: Store) -> list[str]:
    """Give one address of each kind of page."""
    session = rollups.sessions(store)[0].session_id
    call = store.frame(
        "SELECT call_id FROM llm_calls WHERE session_id = $id LIMIT 1", {"id": session}
    ).item()
    run_id = runs.runs(store)[0].run_id
    return [
        *("/", "/sessions", f"/sessions/{session}", f"/calls/{call}", "/prefixes"),
        *("/prefixes/flame", "/breaks", "/breaks?source=tau2-bench%26finding=1"),
        *("/ledger?source=tau2-bench", "/structure?source=tau2-bench", "/runs"),
        *(f"/runs/{run_id}", "/patterns", "/nowhere"),
    ]


def browse(chromium: str, profile: Path, *words: str) -> str:
    """Run the browser once and give what it printed."""
    return run_browser(chromium, profile, *words).stdout


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


def test_no_page_breaks_its_own_policy(
    chromium: str, address: str, seen: Store, tmp_path: Path
) -> None:
    """With its content security policy a page loads all that it needs, and logs no refusal."""
    for page in pages(seen):
        ended = run_browser(
            chromium,
            tmp_path / "profile",
            *("--enable-logging=stderr", "--v=0", "--dump-dom"),
            f"{address}{page.replace('%26', '&')}{'&' if '?' in page else '?'}policy=on",
        )
        assert "<h1" in ended.stdout, page
        refusals = [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
        assert [line for line in refusals if "favicon" not in line] == [], page


def test_no_page_is_wider_than_its_window(
    chromium: str, address: str, seen: Store, tmp_path: Path
) -> None:
    """At 390, 800 and 1440 px every page scrolls down only; wide tables scroll by themselves."""
    for page in pages(seen):
        for width in (NARROW, 800, 1440):
            found = browse(
                chromium,
                tmp_path / "profile",
                "--virtual-time-budget=3000",
                "--dump-dom",
                f"{address}/measure?width={width}&page={page}",
            )
            sizes = re.search(r'<p id="found">(\d+)/(\d+)</p>', found)
            assert sizes is not None, page
            assert int(sizes[1]) <= int(sizes[2]), (page, width)


@pytest.mark.parametrize(("scheme", "dark"), [(0, True), (1, False)])
def test_pages_are_drawn_in_light_and_dark(
    chromium: str, address: str, tmp_path: Path, scheme: int, dark: bool
) -> None:
    """The landing page's screenshot is a picture whose paper is of the scheme asked for."""
    picture = tmp_path / "page.png"
    browse(
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

"""Every page: there, linked, escaped, its twin the same facts, no asset from elsewhere."""

import json
import re
from collections import Counter
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
from fastapi.testclient import TestClient
from phasewise_analyzer import rollups
from phasewise_analyzer.analyse import analyse
from phasewise_store.facts import ToolCall
from phasewise_store.segments import text_segment
from phasewise_store.store import Store
from phasewise_web.pages.call import MOST_CHARACTERS, MOST_SEGMENTS
from phasewise_web.pages.session import PAGE_STEPS, BusyClock

from tests.store.facts_for_tests import growing_session
from tests.web.client import client as pages_of
from tests.web.conftest import HOSTILE

PAGES = (
    "/",
    "/?view=time",
    "/?view=tokens&source=kv-cache-tester",
    "/sessions",
    "/prefixes",
    "/prefixes?source=tau2-bench&by=session",
    "/prefixes/flame",
    "/prefixes/flame?source=tau2-bench&width=usd",
    "/breaks",
    "/breaks?source=tau2-bench&finding=1",
    "/ledger?source=tau2-bench",
    "/ledger?source=tau2-bench&reason=appended",
    "/structure?source=tau2-bench",
    "/runs",
    "/patterns",
)


def kind_of(address: str) -> str:
    """Give what kind of page an address is: `sessions`, or `sessions/` for one of them."""
    first, slash, _ = address.partition("?")[0].strip("/").partition("/")
    return first + slash


def crawl(client: TestClient, most_of_a_kind: int) -> dict[str, str]:
    """Follow internal links from the pages above, so many of each kind; give each one's text."""
    waiting, found = list(PAGES), dict[str, str]()
    kinds: Counter[str] = Counter()
    while waiting:
        address = waiting.pop(0)
        if address in found or kinds[kind_of(address)] >= most_of_a_kind:
            continue
        kinds[kind_of(address)] += 1
        answer = client.get(address)
        assert answer.status_code == 200, address
        found[address] = answer.text
        if answer.headers["content-type"].startswith("text/html"):
            links = re.findall(r'(?:href|src)="([^"#]+)"', answer.text)
            waiting += [urljoin(address, unescape(link)) for link in links]
    return found


@pytest.mark.slow
def test_every_link_leads_somewhere(client: TestClient) -> None:
    """Twelve addresses of each kind, from the landing page on: all answer 200."""
    found = crawl(client, 12)
    kinds = {"", "sessions", "sessions/", "calls/", "prefixes", "runs", "runs/", "agents.json"}
    assert kinds <= set(map(kind_of, found))
    assert len(found) > 60


def test_nothing_is_asked_of_another_machine_and_no_script_is_inline(client: TestClient) -> None:
    """No asset or link with a scheme, no script element, no event attribute."""
    for address, text in crawl(client, 5).items():
        path = address.partition("?")[0]
        if path.endswith(".json"):
            continue
        assert not re.search(r'(?:href|src)="(?:https?:)?//', text), address
        assert "<script" not in text or path.endswith("/report.html"), address
        assert not re.search(r"<[^>]+\son\w+=", text), address


def test_hostile_names_are_text(client: TestClient, seen: Store) -> None:
    """A session, agent, model, prompt and error that want to be markup are shown as they are."""
    session_id = f"s/{HOSTILE}"
    for path in ("/", "/sessions?source=live", "/prefixes?source=live"):
        assert "<script" not in client.get(path).text
    row = rollups.session(seen, session_id)
    page = client.get(client.get("/sessions.json?source=live").json()["rows"][0]["session_id"])
    assert page.status_code == 404  # an id alone is no address
    links = re.findall(r'href="(/sessions/[^"]+)"', client.get("/sessions?source=live").text)
    session = client.get(unescape(links[0]))
    assert session.status_code == 200
    assert row.name == HOSTILE
    assert "&lt;script&gt;" in session.text
    call = re.search(r'href="(/calls/[^"]+)"', session.text)
    assert call is not None
    assert "<script" not in client.get(unescape(call[1])).text


@pytest.mark.parametrize("path", ["/agents.json", "/sessions.json", "/prefixes.json", "/runs.json"])
def test_a_twin_is_json(client: TestClient, path: str) -> None:
    """The same address with `.json`: an object, no NaN, the JSON media type."""
    answer = client.get(path)
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text, parse_constant=pytest.fail)


def test_the_twin_holds_the_page_s_numbers(client: TestClient, seen: Store) -> None:
    """The landing page's calls are those of the roll-up, in the table and in the JSON."""
    rows = {row["agent"]: row["totals"] for row in client.get("/agents.json").json()["rows"]}
    page = client.get("/").text
    for row in rollups.agents(seen):
        assert rows[row.agent]["calls"] == row.totals.calls
        assert f">{row.totals.calls:,}</a>" in page


def test_what_is_not_there_is_a_page_that_says_so(client: TestClient) -> None:
    """404 with words in HTML and in JSON."""
    assert "There is no page" in client.get("/nowhere").text
    for path in ("/sessions/nobody", "/calls/nobody", "/runs/nobody"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "nobody" in answer.text
        twin = client.get(f"{path}.json")
        assert twin.status_code == 404
        assert "nobody" in twin.json()["detail"]
    assert client.post("/").status_code == 405


def test_an_empty_store_says_the_command_to_run(store: Store) -> None:
    """Each page of an empty database has one."""
    client = pages_of(store)
    for path in ("/", "/sessions", "/prefixes", "/breaks", "/ledger", "/structure", "/runs"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<code>phasewise " in answer.text


def test_bars_sum_to_one(client: TestClient, seen: Store) -> None:
    """Every split bar's parts have a sum of one, whatever the view."""
    session_id = rollups.sessions(seen)[0].session_id
    for view in ("price", "time", "tokens"):
        page = client.get(f"/sessions/{session_id}.json?view={view}").json()
        for bar in page["bars"]:
            if bar["parts"]:
                assert sum(part["share"] for part in bar["parts"]) == pytest.approx(1)


def test_idle_time_is_left_out_of_the_waterfall() -> None:
    """Two calls an hour apart stand close together, and what was cut is said."""
    hour = 3600 * 10**9
    clock = BusyClock([(0, 10**9), (hour, hour + 10**9)])
    assert clock.at(10**9) == 10**9
    assert clock.at(hour) == 10**9 + clock.length_ns - 2 * 10**9
    assert clock.length_ns == hour + 10**9 - clock.cut_ns
    assert clock.length_ns < 2.1 * 10**9


def test_every_macro_is_on_the_patterns_page() -> None:
    """`/patterns` shows each macro of `_ui.html`."""
    import phasewise_reports
    import phasewise_web

    macros = Path(phasewise_reports.__file__).parent / "templates" / "_ui.html"
    patterns = Path(phasewise_web.__file__).parent / "templates" / "patterns.html"
    names = re.findall(r"{% macro (\w+)", macros.read_text())
    shown = patterns.read_text()
    assert [name for name in names if f"ui.{name}(" not in shown] == []


def test_a_tool_without_a_time_stands_at_the_end_of_its_call(store: Store) -> None:
    """Nobody recorded when it ran: dashed behind its call, and not at the session's start."""
    session = growing_session(2)
    (first, second), agent = session.llm_calls, session.agents[0]
    store.write(
        replace(
            session,
            llm_calls=(
                replace(first, started_ns=10**9, duration_ns=10**9),
                replace(second, started_ns=3 * 10**9, duration_ns=10**9),
            ),
            tool_calls=(
                ToolCall("untimed", "s1", agent.agent_id, "grep", after_step=0),
                ToolCall("timed", "s1", agent.agent_id, "ls", after_step=1, started_ns=4 * 10**9),
            ),
        )
    )
    analyse(store)
    client = pages_of(store)
    page = client.get("/sessions/s1").text
    assert page.count('<i class="tool"></i>') == 1
    assert page.count('<i class="tool placed"') == 1
    bars = {one["step"]["id"]: one for one in client.get("/sessions/s1.json").json()["bars"]}
    call = bars["s1-0"]
    assert bars["untimed"]["left"] == pytest.approx(call["left"] + call["width"])
    assert bars["untimed"]["width"] == 0
    assert not bars["timed"]["is_placed"]


def test_time_is_shown_first_only_where_calls_have_times(store: Store) -> None:
    """Times of tools alone say nothing about what calls took: tokens then."""
    session = growing_session(2)
    tool = ToolCall("t", "s1", session.agents[0].agent_id, "ls", after_step=1, started_ns=10**9)
    store.write(replace(session, tool_calls=(tool,)))
    analyse(store)
    page = pages_of(store).get("/sessions/s1.json").json()
    assert (page["view"], page["has_times"]) == ("tokens", False)


def test_a_long_session_comes_a_page_at_a_time(store: Store) -> None:
    """Each step is on one page, in order; `?all=1` has them all, and the JSON says what it has."""
    store.write(growing_session(2 * PAGE_STEPS + 3))
    analyse(store)
    client = pages_of(store)
    seen: list[int] = []
    offset: int | None = 0
    while offset is not None:
        page = client.get("/sessions/s1.json", params={"offset": offset}).json()
        seen += [one["step"] for one in page["timeline"]["steps"]]
        assert page["timeline"]["steps_there"] == 2 * PAGE_STEPS + 3
        offset = page["later"]
    assert seen == list(range(2 * PAGE_STEPS + 3))
    whole = client.get("/sessions/s1.json?all=1").json()
    assert [one["step"] for one in whole["timeline"]["steps"]] == seen
    assert whole["later"] is None
    assert f"steps 1 to {PAGE_STEPS} of" in client.get("/sessions/s1").text


def test_a_call_s_page_says_what_it_leaves_out_and_its_json_is_whole(store: Store) -> None:
    """A prompt of many segments and one long text: the middle and the end are one click away."""
    session = growing_session(1)
    long = "x" * (MOST_CHARACTERS + 5)
    parts = tuple(
        text_segment("message", f'{{"role":"user","content":"part {n}"}}', "user")
        for n in range(2 * MOST_SEGMENTS + 7)
    )
    prompt = (*parts, text_segment("message", long, "user"))
    store.write(replace(session, llm_calls=(replace(session.llm_calls[0], prompt=prompt),)))
    analyse(store)
    client = pages_of(store)
    page = client.get("/calls/s1-0").text
    assert f"8 of {len(prompt)} segments are not shown" in page
    assert "The first 20,000 of 20,005 characters" in page
    assert 'href="/calls/s1-0?all=1"' in page
    assert f"part {MOST_SEGMENTS}<" not in page
    whole = client.get("/calls/s1-0?all=1").text
    assert f"part {MOST_SEGMENTS}<" in whole
    assert long in whole
    assert "segments are not shown" not in whole
    found = client.get("/calls/s1-0.json").json()["prompt"]
    assert [one["text"] for one in found] == [(one.content or b"").decode() for one in prompt]


def test_a_call_s_page_shows_words_and_no_json(store: Store) -> None:
    """Anthropic's and the Responses API's parts as text, calls, results and images."""
    session = growing_session(1)
    said = {"role": "user", "content": [{"type": "tool_result", "content": "it is 12:00"}]}
    asked = {"type": "function_call", "role": "assistant", "name": "clock", "arguments": "{}"}
    prompt = tuple(text_segment("message", json.dumps(one), "user") for one in (asked, said))
    store.write(replace(session, llm_calls=(replace(session.llm_calls[0], prompt=prompt),)))
    analyse(store)
    page = unescape(pages_of(store).get("/calls/s1-0").text)
    assert "[calls clock]" in page
    assert "it is 12:00</pre>" in page
    assert '"type"' not in page


def test_a_page_of_sessions_past_the_end_says_so_and_links_to_the_last() -> None:
    """Of 51 sessions the last page begins at 50, wherever somebody looked behind it."""
    with Store.in_memory() as store:
        for number in range(51):
            store.write(growing_session(1, f"s{number}"))
        analyse(store)
        pages = pages_of(store)
        page = pages.get("/sessions?offset=5000&view=time")
        assert "There are 51 sessions; none after number 5,000." in page.text
        assert 'href="/sessions?view=time&amp;offset=50"' in page.text
        assert "No sessions match" not in page.text
        twin = pages.get("/sessions.json?offset=5000").json()
        assert (twin["rows"], twin["earlier"], twin["later"], twin["last"]) == ([], 50, None, 50)

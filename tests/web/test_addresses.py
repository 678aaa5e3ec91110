"""Addresses: every id has one, what a query may hold is checked on every route, scope is kept."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape

import httpx
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from phasewise_analyzer.analyse import analyse
from phasewise_store.store import Store
from phasewise_web.app import make_app
from phasewise_web.pages import address
from phasewise_web.pages.parameters import LARGEST, TAKES

from tests.store.facts_for_tests import growing_session
from tests.web.client import client as pages_of
from tests.web.client import over_a_socket

ODD_IDS = (
    *("a/b", "/a", "a/", "a//b", "../a", "a/../b", "..", ".", "...", "", " ", "a b", "a+b", "100%"),
    *("%2e%2e", "%2F", "a?b=c", "a#b", "a&b", "a.json", "a.json~", "~", "é/日本語/🙂", "a\nb"),
    *("a.json\n", "a\\b", "<b>'\"", "report.html", "x/report.html", ";a=b", "a:b", "\x01", "CON"),
)


def routes() -> Iterator[APIRoute]:
    """Give every route of a page, its JSON included."""
    for one in make_app(Store.in_memory()).routes:
        if isinstance(one, APIRoute) and not one.path.startswith(("/static", "/healthz")):
            yield one


def key(route: APIRoute) -> str:
    """Give the path under which a route's parameters stand."""
    path = route.path.removesuffix(".json")
    return "/" if path == "/agents" else path


@pytest.fixture(scope="module")
def odd_ones() -> Iterator[httpx.Client]:
    """Serve a session and a call of each odd id; over a socket, since paths are decoded there."""
    with Store.in_memory() as store:
        for odd in ODD_IDS:
            store.write(growing_session(1, odd))
        analyse(store)
        with over_a_socket(make_app(store)) as base, httpx.Client(base_url=base) as client:
            yield client


@pytest.mark.parametrize("odd", ODD_IDS)
def test_a_session_and_a_call_with_any_id_can_be_opened_by_their_links(
    odd_ones: httpx.Client, odd: str
) -> None:
    """From the list to the session, to its call, back to the session; and the JSON of each."""
    listed = odd_ones.get("/sessions.json").json()["rows"]
    place = [one["session_id"] for one in listed].index(odd)
    paths = links(odd_ones.get("/sessions").text, "/sessions/")
    session = list(dict.fromkeys(paths))[place]
    page = odd_ones.get(session)
    assert page.status_code == 200
    call = odd_ones.get(links(page.text, "/calls/")[0])
    assert call.status_code == 200
    assert session in links(call.text, "/sessions/")
    twin = odd_ones.get(links(page.text, "/sessions/", twin=True)[0]).json()
    assert twin["timeline"]["row"]["session_id"] == odd
    assert odd_ones.get(links(call.text, "/calls/", twin=True)[0]).json()["session_id"] == odd


def links(page: str, start: str, *, twin: bool = False) -> list[str]:
    """Give a page's links that begin so; its twin's alone, or the others."""
    found = [unescape(one) for one in re.findall(r'href="([^"]+)"', page)]
    return [one for one in found if one.startswith(start) and one.endswith(".json") == twin]


@given(st.text())
def test_every_id_is_read_back_from_one_segment_of_a_path(id: str) -> None:
    """No slash, no dot segment, no page's ending; two ids have two addresses."""
    from urllib.parse import unquote

    written = address.encoded(id)
    assert "/" not in written
    assert set(unquote(written)) != {"."}
    assert not unquote(written).endswith((".json", ".html"))
    assert address.decoded(unquote(written)) == id


@pytest.fixture
def served(store: Store) -> TestClient:
    """Serve a store with one session."""
    store.write(growing_session(2))
    analyse(store)
    return pages_of(store)


def test_every_route_says_what_its_query_may_hold(served: TestClient) -> None:
    """A value that cannot be, a name that is not known and one given twice: 400 with words."""
    asked = 0
    for route in routes():
        path = route.path.replace("{id:any}", "no")
        wrong = [("nonsense", "1", "no parameter `nonsense`"), *wrong_values(key(route))]
        for name, value, words in wrong:
            answer = served.get(path, params={name: value})
            assert answer.status_code == 400, (path, name, value)
            assert words in unescape(answer.text)
            asked += 1
        twice = served.get(f"{path}?source=a&source=a")
        assert twice.status_code == 400
        assert "given twice" in twice.text
    assert asked > 60


def wrong_values(path: str) -> Iterator[tuple[str, str, str]]:
    """Give values that each parameter of a route cannot have, and words of the answer."""
    for one in TAKES[path]:
        for value in ("sideways", "-7", str(10**23), "٣", "x" * 5_000):
            if not one.accepts(value):
                yield one.name, value, one.allowed


def test_every_route_says_what_is_not_there(served: TestClient) -> None:
    """A data set, session, agent, model or label that nothing has is a 404 that names it."""
    for route in routes():
        path = route.path.replace("{id:any}", "no")
        for name in address.SCOPE:
            answer = served.get(path, params={name: "nobody"})
            assert answer.status_code == 404, (path, name)
            assert "`nobody`" in unescape(answer.text)


def test_a_largest_offset_is_no_error(served: TestClient) -> None:
    """It lies behind the last row: the page is empty."""
    for path in ("/sessions", "/breaks", "/ledger"):
        assert served.get(path, params={"offset": LARGEST}).status_code == 200


def test_the_way_from_page_to_page_keeps_the_scope(store: Store) -> None:
    """Each page of the navigation, and each session's and call's, is opened with the scope."""
    for name in ("alpha", "beta"):
        batch = growing_session(2, name)
        store.write(replace(batch, source=replace(batch.source, name=name, source_id=name)))
    analyse(store)
    client = pages_of(store)
    agent = client.get("/agents.json").json()["rows"][0]["agent"]
    scope = f"source=alpha&agent={agent}"
    seen: set[str] = set()
    waiting = [f"/?{scope}"]
    while waiting:
        here = waiting.pop()
        if (path := here.partition("?")[0]) in seen:
            continue
        seen.add(path)
        page = client.get(here)
        assert page.status_code == 200, here
        nav = page.text.partition("<main")[0]
        inner = [*links(page.text, "/sessions/"), *links(page.text, "/calls/")]
        for link in [unescape(one) for one in re.findall(r'href="(/[^"]*)"', nav)] + inner:
            if not link.startswith("/static") and ".json" not in link:
                assert scope in link, (here, link)
                waiting.append(link)
    assert len(seen) > 8


def test_without_a_choice_the_newest_data_set_is_shown(store: Store) -> None:
    """The one that the last call came to, not the first of the alphabet; the page says so."""
    for name in ("alpha", "omega"):
        batch = growing_session(2, name)
        store.write(replace(batch, source=replace(batch.source, name=name, source_id=name)))
    analyse(store)
    client = pages_of(store)
    for path in ("/prefixes", "/prefixes/flame", "/breaks", "/ledger", "/structure"):
        assert client.get(f"{path}.json").json()["source"] == "omega"
        assert client.get(f"{path}.json?session=alpha").json()["source"] == "alpha"
        assert "the newest is shown" in client.get(path).text
        assert "the newest is shown" not in client.get(f"{path}?source=alpha").text

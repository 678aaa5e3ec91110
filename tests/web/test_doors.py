"""Who may ask, and what every answer carries: driven by the table of routes."""

from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from phasewise_analyzer.analyse import analyse
from phasewise_collector.hosts import Hosts
from phasewise_store.store import Store
from phasewise_web.app import make_app

from tests.collector.otlp_for_tests import Made, acceptor, request
from tests.replay.recorded import write_sessions

ANSWERED = (
    "127.0.0.1",
    "127.0.0.1:8321",
    "[::1]:8321",
    "localhost:8321",
    "10.0.0.7",
    "a.localhost",
)
REFUSED = ("evil.example", "127.0.0.1.evil.example:8321", "localhost.evil.example", "evil")


@pytest.fixture
def served(store: Store) -> TestClient:
    """Serve a store with a few sessions."""
    write_sessions(store)
    analyse(store)
    return TestClient(make_app(store), base_url="http://127.0.0.1:8321")


def test_every_route_is_guarded_and_dressed(served: TestClient) -> None:
    """A wrong name is refused everywhere, and every answer keeps the browser safe."""
    paths = [
        one.path.replace("{id:any}", "no")
        for one in make_app(Store.in_memory()).routes
        if isinstance(one, APIRoute)
    ]
    assert len(paths) > 20
    for path in (*paths, "/nowhere"):
        assert served.get(path, headers={"host": "evil.example"}).status_code == 403, path
        answer = served.get(path)
        assert answer.status_code in (200, 404), path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        if not path.endswith("report.html"):
            assert "script-src 'self'" in policy
            assert "style-src 'self'" in policy


@pytest.mark.parametrize("host", ANSWERED)
def test_addresses_and_this_machine_are_answered(served: TestClient, host: str) -> None:
    """Digits cannot be pointed elsewhere by a name server; localhost is ours."""
    assert served.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", REFUSED)
def test_other_names_are_refused_until_they_are_allowed(store: Store, host: str) -> None:
    """The refusal says which option allows the name."""
    closed = TestClient(make_app(store), base_url=f"http://{host}")
    answer = closed.get("/healthz")
    assert answer.status_code == 403
    assert "--allow-host" in answer.text
    name = host.partition(":")[0]
    opened = TestClient(make_app(store, hosts=Hosts([name])), base_url=f"http://{host}")
    assert opened.get("/healthz").status_code == 200
    assert (
        TestClient(make_app(store, hosts=Hosts(["*"])), base_url=f"http://{host}")
        .get("/healthz")
        .is_success
    )


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8321", 200),
        ("http://localhost", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_others_may_not_ask(served: TestClient, origin: str, status: int) -> None:
    """A request that a page elsewhere makes says so, and is refused."""
    assert served.get("/agents.json", headers={"origin": origin}).status_code == status


def test_what_has_not_changed_is_not_sent_again(served: TestClient) -> None:
    """An ETag that still holds gives 304; HEAD gives the headers; long pages are gzipped."""
    first = served.get("/sessions", headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    again = served.get("/sessions", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = served.head("/sessions", headers={"accept-encoding": "identity"})
    whole = served.get("/sessions", headers={"accept-encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == whole.headers["etag"]


def test_spans_from_a_page_elsewhere_are_refused(tmp_path: Path) -> None:
    """OTLP over HTTP looks at host and origin as the pages do."""
    body = request(Made(1)).SerializeToString()
    protobuf = {"content-type": "application/x-protobuf"}
    with acceptor(tmp_path) as running:
        for headers, status in (
            ({}, 200),
            ({"host": "evil.example"}, 403),
            ({"origin": "https://evil.example"}, 403),
            ({"host": "localhost"}, 200),
        ):
            answer = httpx.post(
                f"{running.address}/v1/traces", content=body, headers=protobuf | headers
            )
            assert answer.status_code == status, headers

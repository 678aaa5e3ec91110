"""A client of the pages over a store, under a name that they answer to."""

from fastapi.testclient import TestClient
from phasewise_store.store import Store
from phasewise_web.app import make_app

ADDRESS = "http://127.0.0.1:8321"


def client(store: Store, *, raises: bool = True) -> TestClient:
    """Serve a store without a socket."""
    return TestClient(make_app(store), base_url=ADDRESS, raise_server_exceptions=raises)

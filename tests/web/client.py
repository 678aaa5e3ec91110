"""Clients of the pages over a store, under a name that they answer to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from phasewise_store.store import Store
from phasewise_web.app import make_app

ADDRESS = "http://127.0.0.1:8321"


def client(store: Store, *, raises: bool = True) -> TestClient:
    """Serve a store without a socket."""
    return TestClient(make_app(store), base_url=ADDRESS, raise_server_exceptions=raises)


@contextmanager
def over_a_socket(app: FastAPI) -> Iterator[str]:
    """Serve an application as `phasewise up` does; give its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()

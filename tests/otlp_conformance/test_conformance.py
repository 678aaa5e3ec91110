"""Our own receivers pass every case, in every encoding; nothing is left out or not checked."""

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from phasewise_collector.loader import Loader
from phasewise_collector.log.writer import LogWriter
from phasewise_collector.otlp.grpc import GrpcReceiver
from phasewise_collector.otlp.intake import Intake
from phasewise_collector.otlp.receiver import Receiver as HttpReceiver
from phasewise_collector.otlp.signals import Signal
from phasewise_store.store import Store

from tests.otlp_conformance.case import EVERY, Case, Encoding
from tests.otlp_conformance.http_wire import Address
from tests.otlp_conformance.suite import cases, run
from tests.otlp_conformance.talk import Receiver


class OurReceivers:
    """Both doors over one log, in a thread, with a disk that can be full."""

    def __init__(self, folder: Path) -> None:
        self.full = False
        self.loader = Loader(Store.in_memory(), folder)
        self.store = self.loader.store
        self._folder = folder
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Receiver:
        self._thread.start()
        assert self._ready.wait(30)
        return Receiver(
            http=Address("127.0.0.1", self._listener.getsockname()[1]),
            grpc=f"127.0.0.1:{self._grpc_port}",
            stored=self,
            overload=self.overload,
            timeout_s=60,
        )

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self.store.close()

    def spans(self, trace_id: str) -> int:
        """Load what is there, and count."""
        self.loader.load()
        query = "SELECT count(*) FROM spans WHERE trace_id = $trace_id"
        return int(self.store.frame(query, {"trace_id": trace_id}).item())

    @contextlib.contextmanager
    def overload(self) -> Iterator[None]:
        """Let the disk be full for the length of the block."""
        self.full = True
        yield
        self.full = False

    async def _put_away(
        self, signal: Signal, form: str, encoding: str, body: bytes, **counts: int
    ) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        await self._writer.append(signal, form, encoding, body, **counts)

    async def _serve(self) -> None:
        self._writer = LogWriter(self._folder)
        intake = Intake(self._put_away)
        door = GrpcReceiver(intake)
        self._grpc_port = await door.start("127.0.0.1:0")
        config = uvicorn.Config(
            HttpReceiver(intake), lifespan="off", access_log=False, log_level="critical"
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # not in a thread
        asyncio.get_running_loop().call_later(0.2, self._ready.set)
        with contextlib.suppress(asyncio.CancelledError):
            await self._server.serve(sockets=[self._listener])
        await door.stop(1)
        await self._writer.close()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Run both doors."""
    with OurReceivers(tmp_path_factory.mktemp("conformance")) as running:
        yield running


QUICK: tuple[Encoding, bool] = ("json", False)
LARGE = {"sizes", "bombs"}
"""sections whose cases send megabytes"""


@pytest.mark.parametrize(
    ("encoding", "large"),
    [
        pytest.param(encoding, large, marks=() if (encoding, large) == QUICK else pytest.mark.slow)
        for encoding in EVERY
        for large in (False, True)
    ],
)
def test_every_case_passes(receiver: Receiver, encoding: Encoding, large: bool) -> None:
    """Only what OTLP leaves free may be declined; the small cases in JSON are quick tests."""

    def wanted(case: Case) -> bool:
        return (case.section in LARGE) is large

    results = list(run(receiver, encodings=[encoding], wanted=wanted))
    bad = [
        f"{one.case.section}.{one.case.name}: {one.reason}"
        for one in results
        if one.end in ("failed", "not checked")
    ]
    assert results
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("encoding", EVERY)
def test_there_are_sixty_cases_of_each_encoding(encoding: Encoding) -> None:
    """At least."""
    assert sum(encoding in case.encodings for case in cases()) >= 60


def test_every_obligation_says_what_and_where_from() -> None:
    """Each case names its source and states its obligation in a sentence."""
    for case in cases():
        assert case.obligation.endswith("."), case.name
        assert case.source

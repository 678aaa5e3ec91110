"""The disk ring: nothing is lost while the collector is away, and what is lost is counted."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phasewise.ring import Ring, rings
from phasewise.sending import LaterError, send_all
from phasewise_collector.loader import Loader
from phasewise_store.store import Store

from tests.cli.test_up import until, up
from tests.collector.otlp_for_tests import Made, acceptor, request
from tests.tracer.test_init import INIT

AWAY = "http://127.0.0.1:9"


def body(span: int) -> bytes:
    """Make a batch of one span."""
    return request(Made(span, trace=span)).SerializeToString()


def test_batches_wait_in_order_and_survive(tmp_path: Path) -> None:
    """Another object over the same folder finds them, the oldest first, with their spans."""
    ring = Ring(tmp_path, AWAY, 1 << 20)
    for span in (1, 2, 3):
        ring.put(body(span), span)
    (again,) = rings(tmp_path, 1 << 20)
    assert again.endpoint == AWAY
    assert [batch.spans for batch in again.waiting()] == [1, 2, 3]
    assert [batch.body() for batch in again.waiting()] == [body(span) for span in (1, 2, 3)]


def test_an_absent_collector_leaves_all_in_place(tmp_path: Path) -> None:
    """Nobody listens: LaterError, and nothing is removed."""
    ring = Ring(tmp_path, AWAY, 1 << 20)
    ring.put(body(1), 1)
    with pytest.raises(LaterError):
        send_all(ring)
    assert len(ring.waiting()) == 1


def test_a_full_ring_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    """Ten batches of a kilobyte into four kilobytes: the last ones stay, the loss is known."""
    ring = Ring(tmp_path, AWAY, 4096)
    for _ in range(10):
        ring.put(os.urandom(1000), 7)
    assert len(ring.waiting()) == 4
    assert ring.dropped_spans() == 6 * 7


def test_a_damaged_file_is_counted_and_hides_nothing(tmp_path: Path) -> None:
    """A flipped bit in the first batch: the second one is sent, the loss is known."""
    with acceptor(tmp_path / "log") as running, Store.in_memory() as store:
        ring = Ring(tmp_path / "ring", running.address, 1 << 20)
        for span in (1, 2):
            ring.put(body(span), 1)
        first = ring.waiting()[0].path
        data = bytearray(first.read_bytes())
        data[-1] ^= 1
        first.write_bytes(data)
        assert send_all(ring)
        Loader(store, running.folder).load()
        assert store.frame("SELECT count(*) FROM spans").item() == 1
    assert (ring.waiting(), ring.dropped_spans()) == ([], 1)


@settings(deadline=None)  # each batch is synced to disk, which other programs may hold up
@given(st.lists(st.integers(0, 3000), max_size=20), st.integers(1000, 20_000))
def test_every_span_waits_or_is_counted(sizes: list[int], limit: int) -> None:
    """Whatever is put in: waiting + dropped = put."""
    with tempfile.TemporaryDirectory() as folder:
        ring = Ring(Path(folder), AWAY, limit)
        for size in sizes:
            ring.put(bytes(size), 3)
        waiting = sum(batch.spans for batch in ring.waiting())
        assert waiting + ring.dropped_spans() == 3 * len(sizes)


def test_only_one_process_sends_at_a_time(tmp_path: Path) -> None:
    """While another holds the lock, sending says that it did nothing."""
    ring = Ring(tmp_path, AWAY, 1 << 20)
    ring.put(body(1), 1)
    with ring.sending() as mine:
        assert mine
        other = f"""
from pathlib import Path
from phasewise.ring import Ring
from phasewise.sending import send_all
print(send_all(Ring(Path({str(tmp_path)!r}), {AWAY!r}, 1 << 20)))
"""
        said = subprocess.run(
            [sys.executable, "-c", other], capture_output=True, text=True, check=True
        )
    assert said.stdout == "False\n"


PROGRAM = f"""
{INIT}
from opentelemetry import trace
for number in range(50):
    with phasewise.agent(f"agent {{number}}"):
        pass
"""


def test_a_program_that_ended_while_the_collector_was_away_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector is away, the program exits, `phasewise up` comes: all is there."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("PHASEWISE_RING", str(tmp_path / "ring"))
    monkeypatch.setenv("PHASEWISE_ENDPOINT", f"http://127.0.0.1:{port}")
    subprocess.run([sys.executable, str(file)], check=True)
    (ring,) = rings(tmp_path / "ring", 1 << 30)
    assert sum(batch.spans for batch in ring.waiting()) == 50
    with up(tmp_path / "p.duckdb", otlp_port=port) as running:
        until(lambda: stored_spans(running.pages) == 50)
    assert ring.waiting() == []


def stored_spans(pages: str) -> int:
    """Ask the collector's page."""
    (traces, *_) = httpx.get(f"{pages}/collector.json").json()["lines"]
    return int(traces["stored"])


def test_the_next_program_sends_what_the_last_one_left(tmp_path: Path) -> None:
    """Two runs, the first without a collector: both runs' spans arrive, each once."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    with acceptor(tmp_path / "log") as running, Store.in_memory() as store:
        environment = os.environ | {"PHASEWISE_RING": str(tmp_path / "ring")}
        address = {"PHASEWISE_ENDPOINT": running.address}
        ring = Ring(tmp_path / "ring", running.address, 1 << 30)
        ring.put(body(1), 1)
        subprocess.run([sys.executable, str(file)], env=environment | address, check=True)
        Loader(store, running.folder).load()
        assert store.frame("SELECT count(*) FROM spans").item() == 51
    assert ring.waiting() == []


def test_the_program_ends_though_the_collector_never_answers(tmp_path: Path) -> None:
    """A collector that takes the connection and says nothing: the spans stay in the ring."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = os.environ | {
            "PHASEWISE_RING": str(tmp_path / "ring"),
            "PHASEWISE_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        file = tmp_path / "program.py"
        file.write_text(PROGRAM)
        subprocess.run([sys.executable, str(file)], env=environment, check=True, timeout=60)
    (ring,) = rings(tmp_path / "ring", 1 << 30)
    assert sum(batch.spans for batch in ring.waiting()) == 50

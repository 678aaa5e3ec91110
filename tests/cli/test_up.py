"""`phasewise up` as a process: collect, show, survive, stop."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import Made, request
from tests.collector.test_dialects import OPENINFERENCE

PATIENCE_S = 30
CHECKOUT = (sys.executable, "-m", "phasewise_web.cli.main")
FREE = ("--port", "0", "--otlp-port", "0", "--grpc-port", "0")
PROTOBUF = {"content-type": "application/x-protobuf"}


@dataclass
class Up:
    """A running `phasewise up`."""

    process: "subprocess.Popen[str]"
    pages: str
    otlp: str
    grpc: str


@contextmanager
def up(
    database: Path,
    otlp_port: int = 0,
    *,
    command: Sequence[str] = CHECKOUT,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Up]:
    """Run it on free ports until the block ends."""
    process = subprocess.Popen(
        [*command, "up", "--db", str(database), *FREE, "--otlp-port", str(otlp_port)],
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        cwd=folder,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline() + process.stderr.readline()
        pages, otlp = re.findall(r"http://[\d.:]+", said)
        (grpc,) = re.findall(r"OTLP/gRPC on ([\d.:]+)", said)
        running = Up(process, pages, otlp, grpc)
        until(lambda: httpx.get(f"{running.pages}/healthz").is_success)
        until(lambda: httpx.get(f"{running.otlp}/healthz").is_success)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(check: Callable[[], bool]) -> None:
    """Wait for something that must come, generously."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if check():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail("it did not come about")


def send(address: str, span: int, **attributes: object) -> None:
    """Send one call, trying again as an exporter does."""
    body = request(Made(span, trace=span, attributes=OPENINFERENCE | attributes))

    def sent() -> bool:
        answer = httpx.post(
            f"{address}/v1/traces", content=body.SerializeToString(), headers=PROTOBUF
        )
        return answer.is_success

    until(sent)


def test_a_span_sent_is_a_session_shown(tmp_path: Path) -> None:
    """Sent, stored, priced and on its page; SIGTERM ends it with 0 and nothing is lost."""
    database = tmp_path / "p.duckdb"
    with up(database) as running:
        send(running.otlp, 1, **{"session.id": "s 1"})
        address = f"{running.pages}/sessions/{quote('s 1')}.json"
        until(lambda: httpx.get(address).is_success)
        # it is there as soon as it is loaded, and priced a moment later
        until(lambda: httpx.get(address).json()["timeline"]["steps"][0]["total_usd"] is not None)
        (step,) = httpx.get(address).json()["timeline"]["steps"]
        assert (step["input_tokens"], step["cache_read_tokens"]) == (100, 64)
        assert step["total_usd"] > 0
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_S) == 0
    with Store.open(database) as store:
        assert store.frame("SELECT count(*) FROM llm_calls").item() == 1


def test_a_killed_acceptor_is_replaced(tmp_path: Path) -> None:
    """Kill -9 of the acceptor: the next span gets through, both are stored."""
    with up(tmp_path / "p.duckdb") as running:
        send(running.otlp, 1)
        os.kill(_acceptor_of(running.process.pid), signal.SIGKILL)
        send(running.otlp, 2)
        until(lambda: httpx.get(f"{running.pages}/agents.json").json()["totals"]["calls"] == 2)


def test_ctrl_c_ends_both_processes(tmp_path: Path) -> None:
    """Exit code 0 or 130, and the acceptor is gone too."""
    with up(tmp_path / "p.duckdb") as running:
        acceptor = _acceptor_of(running.process.pid)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(PATIENCE_S) in (0, 130)
        until(lambda: not Path(f"/proc/{acceptor}").exists())


def test_a_taken_port_and_a_taken_database_are_sentences(tmp_path: Path) -> None:
    """The second `up` says what to do, exits 2 and 1, and prints no traceback."""
    database = tmp_path / "p.duckdb"
    with up(database) as running:
        port = running.pages.rsplit(":", 1)[1]
        for words, code, said in (
            (["--db", str(tmp_path / "q.duckdb"), "--port", port], 2, "--port"),
            (["--db", str(database), *FREE], 1, "in use by another Phasewise process"),
        ):
            ended = subprocess.run(
                [sys.executable, "-m", "phasewise_web.cli.main", "up", *words],
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == code
            assert said in ended.stderr
            assert "Traceback" not in ended.stderr


def _ended(database: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `up` until it gives up."""
    return subprocess.run(
        [sys.executable, "-m", "phasewise_web.cli.main", "up", "--db", str(database), *FREE],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )


def test_a_log_folder_that_cannot_be_made_ends_it_with_the_reason(tmp_path: Path) -> None:
    """A file in the place of the log: exit 1, and the operating system's words on stderr."""
    database = tmp_path / "p.duckdb"
    database.with_name("p.duckdb.received").write_text("in the way")
    ended = _ended(database)
    assert ended.returncode == 1
    assert "File exists" in ended.stderr
    assert "the process that receives OTLP could not start" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_library_that_the_acceptor_lacks_ends_it_with_the_reason(tmp_path: Path) -> None:
    """An import that fails in the acceptor alone: exit 1 and the library's name, no restarts."""
    broken = tmp_path / "broken" / "grpc"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ModuleNotFoundError('no grpc here', name='grpc')")
    path = os.pathsep.join([str(broken.parent), os.environ.get("PYTHONPATH", "")])
    ended = _ended(tmp_path / "p.duckdb", PYTHONPATH=path)
    assert ended.returncode == 1
    assert "no grpc here" in ended.stderr
    assert ended.stderr.count("Traceback") == 1
    assert "the process that receives OTLP could not start" in ended.stderr


def _acceptor_of(pid: int) -> int:
    """Find the child process that accepts."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        if b"phasewise_collector.acceptor" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    pytest.fail("no acceptor among the children")

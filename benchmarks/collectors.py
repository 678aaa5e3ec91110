"""Collectors as processes, for benchmarks: start one, ask what it stored, what it used, stop it."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".engines" / "peers"
PATIENCE_S = 120
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Running:
    """A collector that answers."""

    name: str
    process: "subprocess.Popen[bytes]"
    http: str
    """address of OTLP/HTTP"""
    folder: Path
    stored: Callable[[], int]
    """how many spans a query would find"""
    headers: dict[str, str] = field(default_factory=dict)
    grpc: str | None = None
    pages: str | None = None

    def cpu_s(self) -> float:
        """Seconds of CPU that all its processes have used so far."""
        return sum(_cpu_s(pid) for pid in self.pids())

    def receiver_cpu_s(self) -> float:
        """Seconds of CPU of what receives: of Phasewise the acceptor, of the others everything."""
        receivers = [pid for pid in self.pids() if b"phasewise_collector" in _command(pid)]
        return sum(_cpu_s(pid) for pid in receivers or self.pids())

    def peak_mib(self) -> float:
        """Give the sum of its processes' peaks of resident memory."""
        return sum(_peak_kib(pid) for pid in self.pids()) / 1024

    def disk_bytes(self) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def pids(self) -> list[int]:
        """Give the numbers of its processes."""
        return [self.process.pid, *_children(self.process.pid)]


@contextmanager
def phasewise(folder: Path, *, environment: dict[str, str] | None = None) -> Iterator[Running]:
    """Run `phasewise up`."""
    web, otlp, grpc = free_ports(3)
    command = [
        *(sys.executable, "-m", "phasewise_web.cli.main", "up"),
        *("--db", str(folder / "p.duckdb"), "--port", str(web)),
        *("--otlp-port", str(otlp), "--grpc-port", str(grpc)),
    ]
    pages = f"http://127.0.0.1:{web}"

    def stored() -> int:
        (traces, *_) = httpx.get(f"{pages}/collector.json", timeout=60).json()["lines"]
        return int(traces["stored"])

    given = os.environ | {"PHASEWISE_RING": str(folder / "ring")} | (environment or {})
    with _process(command, given) as process:
        http = f"http://127.0.0.1:{otlp}"
        _until(lambda: httpx.get(f"{pages}/healthz").is_success, process)
        _until(lambda: httpx.get(f"{http}/healthz").is_success, process)
        yield Running(
            "phasewise", process, http, folder, stored, grpc=f"127.0.0.1:{grpc}", pages=pages
        )


@contextmanager
def phoenix(folder: Path) -> Iterator[Running]:
    """Run Arize Phoenix over SQLite."""
    port, grpc = free_ports(2)
    environment = os.environ | {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    command = [str(_peer("phoenix", "bin/phoenix")), "serve"]
    with _process(command, environment) as process:
        http = f"http://127.0.0.1:{port}"
        _until(lambda: httpx.get(f"{http}/healthz").is_success, process)
        yield Running("phoenix", process, http, folder, _sqlite(folder / "phoenix.db", "spans"))


@contextmanager
def mlflow(folder: Path) -> Iterator[Running]:
    """Run MLflow's server over SQLite."""
    (port,) = free_ports(1)
    command = [
        *(str(_peer("mlflow", "bin/mlflow")), "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--workers", "1"),
        *("--default-artifact-root", str(folder / "artifacts")),
    ]
    path = f"{PEERS / 'mlflow' / 'bin'}:{os.environ['PATH']}"
    with _process(
        command, os.environ | {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    ) as process:
        http = f"http://127.0.0.1:{port}"
        _until(lambda: httpx.get(f"{http}/health").is_success, process)
        yield Running(
            "mlflow",
            process,
            http,
            folder,
            _sqlite(folder / "mlflow.db", "spans"),
            {"x-mlflow-experiment-id": "0"},
        )


@contextmanager
def rotel(folder: Path) -> Iterator[Running]:
    """Run the Rust collector rotel with an exporter that drops everything."""
    http, grpc = free_ports(2)
    command = [
        str(_peer("rotel", "lib/python3.11/site-packages/rotel/rotel-agent")),
        *("start", "--exporter", "blackhole"),
        *("--otlp-http-endpoint", f"127.0.0.1:{http}"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"),
    ]
    libraries = str(sysconfig.get_config_var("LIBDIR"))
    with _process(command, os.environ | {"LD_LIBRARY_PATH": libraries}) as process:
        _until(lambda: _listens(http), process)
        yield Running(
            "rotel",
            process,
            f"http://127.0.0.1:{http}",
            folder,
            lambda: 0,
            grpc=f"127.0.0.1:{grpc}",
        )


def free_ports(count: int) -> list[int]:
    """Give ports that are free now."""
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


class PeerError(Exception):
    """A peer cannot be measured here; the text says why."""


def _peer(name: str, path: str) -> Path:
    found = PEERS / name / path
    if not found.exists():
        raise PeerError("not installed; run  make peers")
    return found


@contextmanager
def _process(
    command: Sequence[str], environment: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        pids = [process.pid, *_children(process.pid)]
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _sqlite(path: Path, table: str) -> Callable[[], int]:
    def count() -> int:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
                (found,) = base.execute(f"SELECT count(*) FROM {table}").fetchone()
                return int(found)
        except sqlite3.OperationalError:
            return 0

    return count


def _until(check: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait until a collector answers; raises PeerError where it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PeerError(f"it ended with code {process.returncode} before it answered")
        try:
            if check():
                return
        except (httpx.HTTPError, OSError):
            pass
        time.sleep(0.1)
    raise PeerError(f"it did not answer within {PATIENCE_S} s")


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_children(int(child))]
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((one for one in status.splitlines() if one.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1])

"""Run agent programs side by side against the fake server, traced into one live collector."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phasewise_collector.loader import Loader
from phasewise_store import log_progress
from phasewise_store.store import Store

from tests.collector.otlp_for_tests import acceptor
from tests.frameworks.expectations import Mode, Program

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INSTALLED = ROOT / ".engines" / "frameworks"
SIDE_BY_SIDE = 3
"""programs at a time: they start on the processor and then mostly sleep"""
LONGEST_S = 120
SETTLING_S = 60
BUSY = 0.5
"""processors that others may hold while a program runs alone; above, its times are not judged"""
QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_TESTING": "true",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "20000",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "20000",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "MASTRA_TELEMETRY_DISABLED": "1",
}
"""nothing else is sent anywhere, and no model list is fetched"""

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One program that was started once."""

    program: Program
    mode: Mode
    name: str
    """of the run: part of the address it was given, and of the ids in the answers"""
    exit_code: int
    said: str
    """what it printed"""
    took_s: float
    others: float
    """processors that anything but this program kept busy meanwhile"""


class FakeModels:
    """The fake server as a process, and its log."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "requests.jsonl"
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "fake_models.py"), str(port), str(self._log)]
        )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("the fake server does not answer")

    def requests(self, run: str) -> list[Row]:
        """Give the requests of one run in the order of their arrival; listings are none."""
        rows = [json.loads(line) for line in self._log.read_text().splitlines()]
        mine = [row for row in rows if row["run"] == run and row["api"] != "?"]
        return sorted(mine, key=lambda row: int(row["n"]))

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


class Suite:
    """A fake server and a collector that loads what comes while programs run."""

    def __init__(self, folder: Path, models: FakeModels, loader: Loader, endpoint: str) -> None:
        self.store = loader.store
        self.models = models
        self._folder = folder
        self._loader = loader
        self._endpoint = endpoint

    def settle(self) -> None:
        """Wait until everything that was received is loaded."""
        until = time.monotonic() + SETTLING_S
        while self._loader.waiting_bytes(log_progress.load(self.store)):
            if time.monotonic() > until:
                raise TimeoutError("the loader does not get to the end of the log")
            time.sleep(0.1)

    def run(self, programs: Sequence[tuple[Program, Mode]], again: str = "") -> list[Run]:
        """Run programs side by side; `again` tells a second run's name from the first's."""
        with ThreadPoolExecutor(1 if again else SIDE_BY_SIDE) as pool:
            return list(pool.map(lambda case: self._run(case[0], case[1], again), programs))

    def _run(self, program: Program, mode: Mode, again: str) -> Run:
        name = f"{program.name}.{mode}{again}"
        home = self._folder / name
        home.mkdir()
        begun, busy_s = time.monotonic(), _busy_s()
        process = subprocess.Popen(
            self._command(program, mode, name, home),
            env=self._environment(program, name, home),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started
            said, _ = process.communicate()
            said += f"\nended after {LONGEST_S} s"
        took_s = time.monotonic() - begun
        others = (_busy_s() - busy_s) / took_s
        return Run(program, mode, name, process.returncode, said, took_s, others)

    def _command(self, program: Program, mode: Mode, name: str, home: Path) -> list[str]:
        arguments = [f"{self.models.address}/r/{name}", *filter(None, [program.argument])]
        if program.group == "js":
            for file in (HERE / "js").glob("*.mjs"):
                shutil.copy(file, home)
            (home / "node_modules").symlink_to(INSTALLED / "js" / "node_modules")
            return ["node", str(home / program.file), *arguments]
        python = str(python_of(program, mode))
        if program.through_run:
            command = [python, str(HERE / "programs" / program.file), *arguments]
            return [sys.executable, "-m", "phasewise_web.cli.main", "run", "--", *command]
        # beside the tracer, so that a process that the program starts finds it, too
        shutil.copy(HERE / "programs" / program.file, home)
        (home / "phasewise").symlink_to(ROOT / "collector" / "phasewise")
        return [python, str(home / program.file), *arguments]

    def _environment(self, program: Program, name: str, home: Path) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        common = kept | QUIET | {"HOME": str(home), "OTEL_SERVICE_NAME": name}
        if program.group == "js":
            return common | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self._endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": "500",
            }
        # `phasewise run` finds its own packages as these tests do
        path = os.environ.get("PYTHONPATH", "") if program.through_run else ""
        ours = {
            "PHASEWISE_ENDPOINT": self._endpoint,
            "PHASEWISE_RING": str(home / "ring"),
        } | ({"PYTHONPATH": path} if path else {})
        return common | ours | dict(program.environment)


def is_busy(seconds: float = 2) -> bool:
    """Say whether others hold more of the processors than times can be judged beside."""
    before = _busy_s()
    time.sleep(seconds)
    return (_busy_s() - before) / seconds > BUSY


def _busy_s() -> float:
    """Give how long the machine's processors worked on all but this process and its children."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, interrupts, soft, stolen = map(int, words[:8])
    whole = (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
    ours = os.times()
    return whole - ours.user - ours.system - ours.children_user - ours.children_system


def python_of(program: Program, mode: Mode) -> Path:
    """Give the interpreter of a program's environment."""
    return INSTALLED / mode / program.group / "bin" / "python"


def is_installed(program: Program, mode: Mode) -> bool:
    """Say whether the libraries of a program are here."""
    if program.group == "js":
        return (INSTALLED / "js" / ".installed").exists()
    return (INSTALLED / mode / program.group / ".installed").exists()


@contextmanager
def suite(folder: Path) -> Iterator[Suite]:
    """Serve models and collect for the length of the block."""
    models = FakeModels(folder)
    stop = threading.Event()
    try:
        with Store.open(folder / "live.duckdb") as store, acceptor(folder / "log") as running:
            loader = Loader(store, running.folder)
            thread = threading.Thread(target=loader.follow, args=(stop, lambda: None))
            thread.start()
            try:
                yield Suite(folder, models, loader, running.address)
            finally:
                stop.set()
                thread.join()
    finally:
        models.stop()

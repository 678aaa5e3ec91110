"""Show what is installed, which engines and features work here, and how to install the rest.

Checks each part by importing it. This command also works in the base install. Exits with 0 when all
required parts work; a missing optional part is not a failure.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from phasewise import instrumentors, settings
from phasewise.ring import rings
from phasewise_store.errors import PhasewiseError

from phasewise_web import installation
from phasewise_web.installation import Part

NAME = "doctor"

VERSIONS = ("opentelemetry-sdk", "duckdb", "polars", "genai-prices", "fastapi", "uvicorn")
PORTS = {4317: "OTLP over gRPC", 4318: "OTLP over HTTP", 8321: "web UI"}


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    area: str
    what: str
    state: Literal["ok", "absent", "broken"]
    detail: str
    cure: str = ""
    """what to do, as a command where there is one"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --json and --settings."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--settings", action="store_true", help="print the tracer's settings and their sources"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the checks; return 1 when a required part is broken."""
    if arguments.settings:
        return _settings(as_json=arguments.json)
    checks = list(examine(arguments.db))
    if arguments.json:
        _print_json(checks)
    else:
        rows = [(c.area, c.what, c.state, f"{c.detail}  {c.cure}".strip()) for c in checks]
        _print_columns([("area", "what", "state", "detail"), *rows])
    return 1 if any(check.state == "broken" for check in checks) else 0


@dataclass(frozen=True, slots=True)
class Said:
    """One setting of the tracer, with its current value."""

    name: str
    value: str
    source: str
    variables: tuple[str, ...]
    help: str


def _settings(*, as_json: bool) -> int:
    found = [
        Said(one.name, one.text(None) or str(one.default), one.source(), one.variables, one.help)
        for one in settings.ALL
    ]
    if as_json:
        _print_json(found)
    else:
        names = ("setting", "value", "from", "variables", "what it is")
        rows = [
            (
                s.name,
                "***" if s.name == "key" and s.value else s.value,
                s.source,
                ", ".join(s.variables),
                s.help,
            )
            for s in found
        ]
        _print_columns([names, *rows])
    return 0


def _print_json(facts: "Sequence[Check | Said]") -> None:
    print(json.dumps([asdict(fact) for fact in facts], indent=2))  # noqa: T201  # the result


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print a table with nothing but Python: rich comes with the `server` extra only."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())  # noqa: T201  # the result


def examine(database: Path) -> Iterator[Check]:
    """Look at Python, the parts, the database, the engines, the browser and the ports."""
    yield Check("core", "Python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield from _versions()
    yield _imported(installation.TRACER)
    if installation.has_program():
        parts = [_imported(part) for part in installation.PROGRAM]
        yield from parts
        if all(part.state == "ok" for part in parts):
            yield _database(database)
    else:
        detail = "base install: it can trace programs, but not collect or analyse"
        yield Check("core", "program", "absent", detail, installation.SERVER)
    yield _optional(installation.TOKENIZERS)
    yield from _instrumentors()
    yield from _ring()
    yield from _engines()
    yield _gpu()
    yield _browser()
    for port, use in PORTS.items():
        yield _port(port, use)


def _versions() -> Iterator[Check]:
    for name in VERSIONS:
        try:
            yield Check("core", name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue  # a part that needs it says so


def _imported(part: Part) -> Check:
    fault = installation.fault(part)
    if fault is None:
        return Check("core", part.name, "ok", part.module)
    return Check("core", part.name, "broken", fault, part.cure)


def _optional(part: Part) -> Check:
    fault = installation.fault(part)
    if fault is None:
        return Check("analysis", part.name, "ok", importlib.metadata.version(part.module))
    return Check("analysis", part.name, "absent", fault, part.cure)


def _database(path: Path) -> Check:
    if not path.exists():
        return Check(
            "core", "database", "absent", f"no file {path}", "created by the first `import` or `up`"
        )
    from phasewise_web.cli.open_database import opened  # noqa: PLC0415  # not in the base install

    try:
        with opened(path) as store:
            counts = store.frame(
                "SELECT (SELECT count(*) FROM sessions) AS sessions, "
                "(SELECT count(*) FROM llm_calls) AS calls, (SELECT count(*) FROM runs) AS runs"
            ).row(0)
    except PhasewiseError as error:
        return Check("core", "database", "broken", str(error))
    sessions, calls, runs = counts
    size = path.stat().st_size / 1e6
    detail = f"{path}: {sessions:,} sessions, {calls:,} calls, {runs:,} runs, {size:,.1f} MB"
    return Check("core", "database", "ok", detail)


_WITHOUT_EXTRA = "its LLM calls are captured, its agents and tools are not"


def _instrumentors() -> Iterator[Check]:
    found = instrumentors.frameworks()
    if not found:
        yield Check("capture", "frameworks", "absent", "no installed framework needs an extra")
    for one, ready in found:
        cure = f"pip install 'phasewise[{one.extra}]'"
        fault = installation.fault(Part(one.library, one.module, cure)) if ready else _WITHOUT_EXTRA
        if fault is None:
            yield Check("capture", one.library, "ok", "traced by phasewise.init()")
        else:
            yield Check("capture", one.library, "absent", fault, cure)


def _ring() -> Iterator[Check]:
    folder = settings.ring_folder(None)
    waiting = dropped = 0
    for ring in rings(folder, settings.ring_bytes(None)):
        waiting += sum(batch.spans for batch in ring.waiting())
        dropped += ring.dropped_spans()
    detail = f"{folder}: {waiting:,} spans waiting for a collector, {dropped:,} dropped so far"
    yield Check("capture", "ring", "ok", detail, "phasewise up" if waiting else "")


def _engines() -> Iterator[Check]:
    yield Check("replay", "simulator", "ok", "built in")
    for name, package in (("vllm", "vllm"), ("sglang", "sglang")):
        beside = Path(".engines") / name / "bin" / "python"
        if importlib.util.find_spec(package):
            yield Check("replay", name, "ok", importlib.metadata.version(package))
        elif beside.exists():
            yield Check("replay", name, "ok", f"for CPU, in {beside.parent.parent}")
        else:
            cure = "on a GPU:  pip install 'phasewise[vllm]'  " if name == "vllm" else ""
            yield Check("replay", name, "absent", "not installed", f"{cure}on a CPU:  make engines")


def _gpu() -> Check:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Check(
            "replay",
            "GPU",
            "absent",
            "nvidia-smi not found; the simulator and CPU engines work without a GPU",
        )
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603  # a fixed command
    names = "; ".join(found.stdout.split("\n")).strip("; ")
    if found.returncode or not names:
        return Check("replay", "GPU", "absent", found.stderr.strip() or "no GPU found")
    return Check("replay", "GPU", "ok", names)


def _browser() -> Check:
    path = shutil.which("chromium")
    if path is None:
        return Check(
            "tests", "Chromium", "absent", "browser tests are skipped", "apt-get install chromium"
        )
    return Check("tests", "Chromium", "ok", path)


def _port(port: int, use: str) -> Check:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            return Check("serve", f"port {port}", "absent", f"{use}: {reason}", "is `up` running?")
    return Check("serve", f"port {port}", "ok", f"{use}: free")

"""A full disk: nothing acknowledged is lost, senders are told to wait, it recovers by itself."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.chaos.kills import stored_ids
from tests.cli.test_up import until, up
from tests.collector.otlp_for_tests import Made, request

SIZE_KIB = 64 << 10
TEXT_BYTES = 40_000
HEADERS = {"content-type": "application/x-protobuf"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a full disk has shown."""

    acked: int
    refused: dict[int, int]
    """answers other than 200, by status"""
    retry_after: bool
    """whether each of them said when to come back"""
    lost: int
    doubled: int
    recovered: bool
    """whether spans were accepted and stored again once there was room"""


class NoMountError(Exception):
    """A small file system cannot be made here."""


@contextmanager
def small_disk(place: Path, kib: int = SIZE_KIB) -> Iterator[Path]:
    """Mount a small tmpfs; raises NoMountError where that is not allowed."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise NoMountError(made.stderr.strip())
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def enlarge(place: Path, kib: int) -> None:
    """Give a small disk more room."""
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(place)], check=True)


def run(folder: Path) -> Outcome:
    """Fill the disk with spans and a ballast, make room, and compare."""
    acked: set[str] = set()
    refused: dict[int, int] = {}
    waits: list[bool] = []
    with small_disk(folder / "disk") as disk:
        database = disk / "p.duckdb"
        with up(database) as running:
            number = 0

            def send() -> int:
                nonlocal number
                number += 1
                text = f"{number} " * (TEXT_BYTES // (len(str(number)) + 1))
                made = request(Made(number, trace=number, attributes={"text": text}))
                with contextlib.suppress(httpx.HTTPError):
                    answer = httpx.post(
                        f"{running.otlp}/v1/traces",
                        content=made.SerializeToString(),
                        headers=HEADERS,
                        timeout=30,
                    )
                    if answer.is_success:
                        acked.add(f"{number:032x}-{number:016x}")
                    else:
                        refused[answer.status_code] = refused.get(answer.status_code, 0) + 1
                        waits.append("retry-after" in answer.headers)
                    return answer.status_code
                return 0

            for _ in range(20):
                send()
            ballast = disk / "ballast"
            free = shutil.disk_usage(disk).free
            ballast.write_bytes(bytes(max(0, free - (2 << 20))))
            for _ in range(200):
                send()
            time.sleep(2)
            ballast.unlink()
            until(lambda: send() == 200)
            recovered_at = number
            until(lambda: _stored(running.pages) >= len(acked))
            running.process.terminate()
            running.process.wait(60)
        stored = stored_ids(database)
        return Outcome(
            acked=len(acked),
            refused=refused,
            retry_after=all(waits),
            lost=len(acked - stored.keys()),
            doubled=sum(count - 1 for count in stored.values()),
            recovered=f"{recovered_at:032x}-{recovered_at:016x}" in stored,
        )


def _stored(pages: str) -> int:
    with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
        page = httpx.get(f"{pages}/collector.json", timeout=30)
        if page.is_success:
            (traces, *_) = page.json()["lines"]
            return int(traces["stored"])
    return -1

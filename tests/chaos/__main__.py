"""Break the collector in every way we know, and print what was lost: nothing.

usage: python -m tests.chaos [--rounds 30] [--flips 1000] [--fuzz 60]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos import disk_full, flips, kills
from tests.chaos.senders import TOOLS, available

BACK_S = 1.0


def main() -> int:
    """Run everything; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="kills")
    parser.add_argument("--flips", type=int, default=1000, help="damaged copies")
    parser.add_argument("--fuzz", type=int, default=60, help="seconds")
    arguments = parser.parse_args()
    print(f"senders: {', '.join(available())}", flush=True)
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for part in ("kill", "stop", "disk", "flip"):
            (folder / part).mkdir()
        broken += _kills(kills.run(folder / "kill", arguments.rounds))
        broken += _stops(kills.terminated(folder / "stop", 3))
        broken += _disk(folder / "disk")
        ends = flips.run(folder / "flip", arguments.flips)
        for end, count in sorted(ends.items()):
            print(f"damaged {end}: {count}")
        broken += [end for end in ends if "WRONG" in end]
    broken += _fuzz(arguments.fuzz)
    for one in broken:
        print(f"BROKEN: {one}")
    return 1 if broken else 0


def _kills(found: kills.Outcome) -> list[str]:
    acked = ", ".join(f"{name} {count:,}" for name, count in sorted(found.acked.items()))
    slowest = max(found.back_s, default=0.0)
    print(
        f"kill -9: {dict(found.rounds)}; acked {sum(found.acked.values()):,} spans ({acked}); "
        f"lost {len(found.lost)}, doubled {found.doubled}; accepted {found.accepted:,} of which "
        f"{found.deduplicated:,} again; accepting again within {slowest:.2f} s at most, "
        f"{sorted(found.back_s)[len(found.back_s) // 2]:.2f} s in the middle; through rotel "
        f"{found.through_rotel[0]:,} of {found.through_rotel[1]:,}",
        flush=True,
    )
    broken = [f"{len(found.lost)} acknowledged spans lost"] if found.lost else []
    broken += [f"{found.doubled} spans doubled"] if found.doubled else []
    broken += [f"books: {one}" for one in found.unbalanced]
    broken += [f"accepting again after {slowest:.2f} s"] if slowest > BACK_S else []
    return broken


def _stops(found: kills.Outcome) -> list[str]:
    print(
        f"SIGTERM: {found.rounds['SIGTERM']} times; acked {sum(found.acked.values()):,} spans; "
        f"lost {len(found.lost)}, doubled {found.doubled}",
        flush=True,
    )
    return [f"{len(found.lost)} spans lost by SIGTERM"] if found.lost else []


def _disk(folder: Path) -> list[str]:
    try:
        found = disk_full.run(folder)
    except disk_full.NoMountError as error:
        print(f"disk full: not run, {error}")
        return []
    print(f"disk full: {found}", flush=True)
    good = found.recovered and found.retry_after and not found.lost and not found.doubled
    only_503 = set(found.refused) <= {503}
    return [] if good and only_503 and found.refused else [f"disk full: {found}"]


def _fuzz(seconds: int) -> list[str]:
    if not (TOOLS / "atheris").is_dir():
        print("fuzzing: not run, install it with  tests/chaos/install.sh .engines/chaos")
        return []
    path = os.pathsep.join(["", str(TOOLS / "atheris")])
    ended = subprocess.run(
        [sys.executable, "-m", "tests.chaos.fuzz", str(seconds)],
        env=os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "") + path},
        capture_output=True,
        text=True,
        check=False,
    )
    runs = [line for line in ended.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"fuzzing: {seconds} s, {runs[0].split(':')[-1].strip() if runs else 'no'} inputs")
    return [] if ended.returncode == 0 else [f"fuzzing: {ended.stderr[-2000:]}"]


if __name__ == "__main__":
    sys.exit(main())

"""Print what `pip install phasewise` adds to a program's environment, in bytes and in seconds.

usage: python -m tests.packaging.size [--json]

Builds the wheel and installs it in an empty environment. pip and setuptools are not counted. The
import time is the best of several processes, less what an empty one takes; seconds are of this
machine now, the ratio to `import opentelemetry.sdk.trace` holds on any.
"""

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.packaging.environments import Environment, build, install

TRIES = 7
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")


@dataclass(frozen=True)
class Size:
    """What the base install costs."""

    installed_bytes: int
    largest_bytes: dict[str, int]
    """the largest folders of site-packages, the largest first"""
    import_s: float
    sdk_import_s: float
    """of OpenTelemetry's SDK alone"""

    @property
    def import_ratio(self) -> float:
        """How many times the SDK's import ours takes."""
        return self.import_s / self.sdk_import_s


def measure(base: Environment) -> Size:
    """Measure an environment that holds the base install."""
    (site,) = base.folder.glob("lib/python*/site-packages")
    sizes = {
        entry.name: _bytes(entry) for entry in site.iterdir() if not entry.name.startswith(NOT_OURS)
    }
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:6]
    seconds = _import_seconds(base, "pass", "import phasewise", "import opentelemetry.sdk.trace")
    nothing_s, ours_s, sdk_s = seconds
    return Size(
        installed_bytes=sum(sizes.values()),
        largest_bytes={name: sizes[name] for name in largest},
        import_s=ours_s - nothing_s,
        sdk_import_s=sdk_s - nothing_s,
    )


def _bytes(entry: Path) -> int:
    files = [entry] if entry.is_file() else entry.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _import_seconds(base: Environment, *statements: str) -> list[float]:
    """Give the shortest time of a process for each statement; they take turns."""
    best = [float("inf")] * len(statements)
    for _ in range(TRIES):
        for place, statement in enumerate(statements):
            began = time.perf_counter()
            subprocess.run(
                [str(base.python), "-c", statement],
                env=base.variables,
                cwd=base.folder,
                check=True,
            )
            best[place] = min(best[place], time.perf_counter() - began)
    return best


def main() -> None:
    """Build, install, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.packaging.size", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        size = measure(install(folder / "base", build(folder / "dist").wheel))
    if arguments.json:
        print(json.dumps(asdict(size) | {"import_ratio": size.import_ratio}, indent=2))
        return
    print(f"{'pip install phasewise':<40}{size.installed_bytes / 1e6:>8.1f} MB")
    for name, count in size.largest_bytes.items():
        print(f"  {name:<38}{count / 1e6:>8.1f}")
    print(f"{'import phasewise':<40}{size.import_s * 1e3:>8.0f} ms")
    print(f"{'import opentelemetry.sdk.trace':<40}{size.sdk_import_s * 1e3:>8.0f}")
    print(f"{'  ratio':<40}{size.import_ratio:>8.2f}")


if __name__ == "__main__":
    main()

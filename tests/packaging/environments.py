"""Build the distribution, and install it into environments that hold nothing else."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Built:
    """What `pip install` may be given."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"

    @property
    def phasewise(self) -> Path:
        """The installed command."""
        return self.folder / "bin" / "phasewise"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of this process, less what would bring this checkout in."""
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def build(folder: Path) -> Built:
    """Build wheel and sdist from this checkout; needs hatchling, and no network."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return Built(wheel, sdist)


def wheel_of(sdist: Path, folder: Path) -> Path:
    """Build the wheel from what the sdist holds, and from nothing else."""
    subprocess.run(["tar", "-xzf", str(sdist), "-C", str(folder)], check=True)
    (source,) = folder.iterdir()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


def contents(wheel: Path) -> dict[str, int]:
    """Give the files of a wheel, and the checksum of each."""
    with zipfile.ZipFile(wheel) as packed:
        return {one.filename: one.CRC for one in packed.infolist()}


def install(folder: Path, artifact: Path, extra: str = "") -> Environment:
    """Make an environment with the artifact and what it requires; uv does it where it is there."""
    made = Environment(folder)
    requirement = f"phasewise{f'[{extra}]' if extra else ''} @ {artifact.as_uri()}"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(made.python), "-m", "pip", "install", "--quiet"]
    else:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        command = [uv, "pip", "install", "--quiet", "--python", str(made.python)]
    subprocess.run([*command, requirement], env=made.variables, check=True)
    return made

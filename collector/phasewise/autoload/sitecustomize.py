"""Imported by Python at startup when `phasewise run` has put this folder on the path.

It runs the environment's own `sitecustomize`, then starts the tracer. A Python without `phasewise`
imports it, and what it needs, from the environment of `phasewise run`, by a finder at the end of
`sys.meta_path`: the environment's own packages take precedence. Until then only the standard
library is used, and any failure is reported in one line.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

FOLDERS = "PHASEWISE_CARRIED"
"""environment variable: the folders that hold `phasewise` and what it needs"""
STARTED_BY = "PHASEWISE_RUN_PID"
"""environment variable: the process that `phasewise run` became"""
_PACKAGES = ("phasewise", "opentelemetry", "google", "wrapt", "typing_extensions")
_OF_GOOGLE = ("google", "google.protobuf", "google._upb")
_DISTRIBUTIONS = ("opentelemetry-", "protobuf", "wrapt")
_HERE = str(Path(__file__).parent)


class Carried(MetaPathFinder):
    """Finds the tracer and what it needs where the environment has none of its own."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = list(folders)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the few packages, and nothing else."""
        del path, target
        first, *rest = fullname.split(".")
        if first not in _PACKAGES:
            return None
        if first == "google" and not fullname.startswith(_OF_GOOGLE[1:]) and rest:
            return None
        above = fullname.split(".")[:-1]
        return PathFinder.find_spec(
            fullname, [str(Path(folder, *above)) for folder in self._folders]
        )

    def find_distributions(
        self, context: metadata.DistributionFinder.Context
    ) -> Iterable[metadata.Distribution]:
        """Return what OpenTelemetry asks of itself: its version, its entry points."""
        if context.name is not None and not context.name.startswith(_DISTRIBUTIONS):
            return
        wanted = metadata.DistributionFinder.Context(name=context.name, path=self._folders)
        for found in metadata.MetadataPathFinder.find_distributions(wanted):
            if found.name.startswith(_DISTRIBUTIONS):
                yield found


def make_way() -> None:
    """Run the environment's own `sitecustomize`, which stands behind this one."""
    sys.path[:] = [entry for entry in sys.path if entry != _HERE]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def start() -> None:
    """Start the tracer; only the program itself, none of its helpers, talks at its end."""
    folders = os.environ.get(FOLDERS, "")
    if folders:
        sys.meta_path.append(Carried(folders.split(os.pathsep)))
    try:
        import phasewise  # noqa: PLC0415  # only once it can be found

        is_program = os.environ.get(STARTED_BY) in (str(os.getpid()), str(os.getppid()))
        phasewise.init(quiet=None if is_program else True)
    except Exception as error:  # the program runs on, untraced
        sys.stderr.write(f"phasewise: this program is not traced: {error}\n")


if __name__ == "sitecustomize":
    make_way()
    start()

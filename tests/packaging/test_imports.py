"""Every import is declared: an installation holds what its packages import, and no luck is needed.

Development dependencies bring libraries of their own, so a missing requirement shows in no other
test but the slow one that installs the wheel.
"""

import tomllib
from pathlib import Path

import pytest

from tests.packaging.imports import Import, distribution, normalised, third_party

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BASE = frozenset(map(normalised, PROJECT["dependencies"]))
EXTRAS = {
    name: frozenset(map(normalised, requirements))
    for name, requirements in PROJECT["optional-dependencies"].items()
}
ANY_EXTRA = frozenset().union(*EXTRAS.values())
INSTRUMENTORS = ANY_EXTRA - EXTRAS["server"]
TRACER = ROOT / "collector" / "phasewise"
SERVER = [
    ROOT / name
    for name in (
        "collector/phasewise_collector",
        "store/phasewise_store",
        "analyzer/phasewise_analyzer",
        "replay/phasewise_replay",
        "reports/phasewise_reports",
        "web/phasewise_web",
    )
]


ELSEWHERE = {"vllm_step_log.py"}
"""run in an engine's Python, and import what is there"""


def undeclared(package: Path, always: frozenset[str], deferred: frozenset[str]) -> list[str]:
    """Name the imports of a package that no requirement brings."""
    return [
        f"{found.file.relative_to(ROOT)}:{found.line} imports {found.module} "
        f"of {distribution(found) or 'nothing that is installed here'}"
        for found in third_party(package)
        if found.file.name not in ELSEWHERE
        and _named(found) not in (always | deferred if found.deferred else always)
    ]


def _named(found: Import) -> str:
    """Return the distribution; of an extra that is not installed here, as its module is named."""
    return distribution(found) or normalised(found.module.split(".")[0])


def test_the_tracer_imports_what_the_base_install_brings() -> None:
    """`pip install phasewise` is enough for `import phasewise` and all its modules."""
    assert undeclared(TRACER, BASE, INSTRUMENTORS) == []


@pytest.mark.parametrize("package", SERVER, ids=[one.name for one in SERVER])
def test_the_program_imports_what_the_server_extra_brings(package: Path) -> None:
    """`phasewise[server]` is enough for the packages; other extras only for deferred imports."""
    assert undeclared(package, BASE | EXTRAS["server"], ANY_EXTRA) == []


def test_an_import_from_a_shared_namespace_is_told_from_its_neighbours() -> None:
    """`google.rpc` and `google.protobuf` are two distributions under one folder."""
    here = Path(__file__)
    rpc = Import("google.rpc", "status_pb2", here, 1, deferred=False)
    protobuf = Import("google.protobuf.message", "Message", here, 1, deferred=False)
    assert distribution(rpc) == "googleapis-common-protos"
    assert distribution(protobuf) == "protobuf"

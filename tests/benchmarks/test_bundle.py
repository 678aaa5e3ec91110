"""The bundle: its lists, and the manifest of the last parcel that was built."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions

import bundle
import pytest

TARGET_HAS = {"numpy", "pyyaml", "anyio", "certifi", "idna", "typing-extensions", "sniffio"}
"""of what our replay imports: PyTorch, transformers and huggingface-hub bring these"""

OPTIONAL = {"click", "rich", "pygments", "zstandard", "setuptools"}
"""httpx and NumPy load these where they are installed"""


def plain(name: str) -> str:
    """Write a package's name as an index does."""
    return name.lower().replace("_", "-")


def pins() -> dict[str, str]:
    """Return version by package."""
    lines = (line.partition("==") for line in bundle.listed("packages.txt"))
    return {plain(name): version for name, _, version in lines}


def test_the_parcel_was_made_of_the_packages_listed_and_fits() -> None:
    """Each pin is a wheel of the manifest, there is no other wheel, and it is below 60 MiB."""
    manifest = json.loads(bundle.MANIFEST.read_text())
    wheels = {plain(name.split("-")[0]): name.split("-")[1] for name in manifest["packages"]}
    assert wheels == pins()
    assert manifest["parcel_bytes"] <= bundle.MOST_BYTES
    assert all(code["kept"] > 0 for code in manifest["gpu_code_bytes"].values())


def test_what_our_replay_imports_is_in_the_parcel_or_on_the_machine() -> None:
    """Every distribution that the driving half loads."""
    code = (
        "import sys; from phasewise_replay.gpu import on_machine; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    owners = packages_distributions()
    needed = {plain(one) for name in loaded.stdout.split() for one in owners.get(name, ())}
    assert needed - {"phasewise"} <= pins().keys() | TARGET_HAS | OPTIONAL


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("vllm/engine/arg_utils.py", "vllm/engine/arg_utils.py"),
        ("vllm/", None),
        ("apache_tvm_ffi-0.1.data/purelib/tvm_ffi/a.py", "tvm_ffi/a.py"),
        ("vllm-0.26.0.data/scripts/vllm", None),
    ],
)
def test_a_wheel_s_files_go_where_pip_puts_them(name: str, place: str | None) -> None:
    """Libraries of `.data` folders are moved up; scripts and headers are left out."""
    assert bundle.placed(name) == place

"""Make the bundle for a bare machine: vLLM trimmed for a Hopper GPU, what it needs, our replay.

    python benchmarks/gpu/bundle.py WORK PARCEL     # WORK keeps 400 MB of downloads

The machine has Python 3.12, PyTorch 2.11 for CUDA 13, transformers and numpy. `packages.txt` has
what it lacks, `left-out.txt` what serving text does not load. GPU code for other chips is dropped
(`fatbin`). PARCEL is one tar.xz; `manifest.json` beside this file says what went into it.
"""

import fnmatch
import hashlib
import json
import lzma
import mmap
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import fatbin

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MANIFEST = HERE / "manifest.json"
MOST_BYTES = 60 << 20
HOPPER = 9
OURS = (
    "store/phasewise_store",
    "analyzer/phasewise_analyzer",
    "replay/phasewise_replay",
)
LIBRARIES = ("vllm/_C_stable_libtorch.abi3.so", "vllm/_moe_C_stable_libtorch.abi3.so")
FLASH_ATTENTION = "vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so"
FLASH_ATTENTION_KEPT = re.compile(
    r"CollectiveMainloopFwdSm90<\d+, cute::tuple<[^>]*>[^<]*?.*?cute::C<128> ?>, 128, "
    r"cutlass::(?:bfloat16_t|float_e4m3_t), float"
    r"|FlashAttnFwdCombine|prepare_varlen_num_blocks|EmptyKernel"
)
"""head size 128 in bf16 and fp8, and the kernels around it"""
MANYLINUX = [
    *(f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5)),
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"),
]


def main() -> None:
    """Download, unpack, trim, pack, and write the manifest."""
    work, parcel = Path(sys.argv[1]), Path(sys.argv[2])
    wheels = download(work / "wheels")
    site = work / "site"
    unpack(wheels, site)
    code: dict[str, Mapping[str, int]] = {}
    for name in LIBRARIES:
        kept, dropped = fatbin.trim(site / name, fatbin.for_chip(HOPPER))
        code[name] = {"kept": kept, "dropped": dropped}
    kept, dropped = fatbin.trim(site / FLASH_ATTENTION, _flash_attention)
    code[FLASH_ATTENTION] = {"kept": kept, "dropped": dropped}
    grammar = site / "xgrammar" / "libxgrammar_bindings.so"
    subprocess.run(["strip", "--strip-unneeded", str(grammar)], check=True)
    add_ours(site)
    pack(site, parcel)
    found = {
        "packages": {path.name: _digest(path) for path in wheels},
        "gpu_code_bytes": code,
        "unpacked_bytes": sum(path.stat().st_size for path in _files(site)),
        "parcel_bytes": parcel.stat().st_size,
    }
    MANIFEST.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{parcel}: {found['parcel_bytes']:,} bytes, {found['unpacked_bytes']:,} unpacked")
    if parcel.stat().st_size > MOST_BYTES:
        sys.exit(f"the parcel is larger than {MOST_BYTES:,} bytes")


def listed(name: str) -> list[str]:
    """Return the lines of a list beside this file, without comments."""
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def download(folder: Path) -> list[Path]:
    """Fetch the wheels for Python 3.12 that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--no-deps", "--only-binary=:all:", "--python-version", "3.12"]
    words += ["--implementation", "cp", "--abi", "cp312", "--abi", "abi3", "--abi", "none"]
    for platform in MANYLINUX:
        words += ["--platform", platform]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    subprocess.run([*pip, *words, "--dest", str(folder), *listed("packages.txt")], check=True)
    return sorted(folder.glob("*.whl"))


def unpack(wheels: list[Path], site: Path) -> None:
    """Unpack the wheels as pip would, without what is left out."""
    shutil.rmtree(site, ignore_errors=True)
    patterns = listed("left-out.txt")
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                place = placed(name)
                if place is None or any(fnmatch.fnmatch(place, one) for one in patterns):
                    continue
                (site / place).parent.mkdir(parents=True, exist_ok=True)
                (site / place).write_bytes(wheel.read(name))


def placed(name: str) -> str | None:
    """Return where a wheel's file goes in site-packages; None for folders, scripts and headers."""
    if name.endswith("/"):
        return None
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    kind, _, place = rest.partition("/")
    return place if kind in ("purelib", "platlib") else None


def add_ours(site: Path) -> None:
    """Copy the packages of the driving half; DuckDB and polars stay at home."""
    for folder in OURS:
        source = ROOT / folder
        shutil.copytree(
            source, site / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )


def pack(site: Path, parcel: Path) -> None:
    """Write one tar.xz with the same bytes from the same files."""
    parcel.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(parcel, "wb", preset=6) as raw, tarfile.open(fileobj=raw, mode="w|") as tar:
        for path in _files(site):
            entry = tar.gettarinfo(path, arcname=str(Path("site") / path.relative_to(site)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            with path.open("rb") as file:
                tar.addfile(entry, file)


def _flash_attention(file: mmap.mmap, entry: fatbin.Entry) -> bool:
    """Keep the kernels that are needed; their names are readable in the machine code."""
    if entry.kind != fatbin.MACHINE_CODE:
        return False
    name = min(re.findall(rb"\.nv\.info\.(_Z\w+)", file[entry.payload : entry.end]), default=b"")
    plain = subprocess.run(["c++filt", name], capture_output=True, text=True, check=True).stdout
    return FLASH_ATTENTION_KEPT.search(plain) is not None


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()

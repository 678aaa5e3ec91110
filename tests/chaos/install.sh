#!/usr/bin/env bash
# Install what the crash harness uses beside Python's exporters: the npm exporters, the Rust
# collector rotel, the fuzzer atheris:  tests/chaos/install.sh FOLDER
set -euo pipefail
folder=${1:?"name the folder, e.g. .engines/chaos"}
mkdir -p "$folder"
if [ ! -e "$folder/.python" ]; then
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip --disable-pip-version-check install --quiet uv
  .venv/bin/python -m venv "$folder/rotel"
  .venv/bin/uv pip install --quiet --python "$folder/rotel/bin/python" --prerelease allow rotel
  .venv/bin/uv pip install --quiet --target "$folder/atheris" --python .venv/bin/python atheris
  touch "$folder/.python"
fi
if [ ! -e "$folder/node/node_modules" ]; then
  command -v npm >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends nodejs npm
  }
  mkdir -p "$folder/node"
  cp tests/chaos/node/package.json tests/chaos/node/send.mjs "$folder/node/"
  (cd "$folder/node" && npm install --silent --no-audit --no-fund)
fi
cp tests/chaos/node/send.mjs "$folder/node/"

#!/usr/bin/env bash
# Install what benchmarks/{ingest,simulator,driver}.py compare with, each in an environment of its own:
#   benchmarks/install-peers.sh .engines/peers
set -euo pipefail
folder=${1:?"name the folder, e.g. .engines/peers"}
python=.venv/bin/python
[ -x .venv/bin/uv ] || $python -m pip --disable-pip-version-check install --quiet uv

install() { # NAME PACKAGE…
  local name=$1
  shift
  [ -e "$folder/$name/.installed" ] && return
  $python -m venv "$folder/$name"
  .venv/bin/uv pip install --quiet --python "$folder/$name/bin/python" "$@"
  touch "$folder/$name/.installed"
}

install phoenix arize-phoenix
install mlflow mlflow
install rotel --prerelease allow rotel
install dynamo ai-dynamo-runtime==1.6.1
install aiperf aiperf==0.13.0
install guidellm guidellm==0.8.1
# what `vllm bench serve` needs beside .engines/vllm, whose numpy it uses
if [ -x .engines/vllm/bin/python ] && [ ! -e "$folder/vllm-bench/.installed" ]; then
  .venv/bin/uv pip install --quiet --python .engines/vllm/bin/python --no-deps \
    --target "$folder/vllm-bench" pandas python-dateutil pytz tzdata six
  touch "$folder/vllm-bench/.installed"
fi

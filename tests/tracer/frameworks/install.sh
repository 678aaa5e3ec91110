#!/usr/bin/env bash
# Install real agent SDKs and frameworks, each group in an environment of its own since their pins
# exclude one another:  tests/tracer/frameworks/install.sh FOLDER
set -euo pipefail
folder=${1:?"name the folder, e.g. .engines/frameworks"}
python=.venv/bin/python
$python -m pip --disable-pip-version-check install --quiet uv

install() { # NAME PACKAGE…
  local name=$1
  shift
  [ -e "$folder/$name/.installed" ] && return
  $python -m venv "$folder/$name"
  .venv/bin/uv pip install --quiet --python "$folder/$name/bin/python" \
    "opentelemetry-sdk>=1.39,<2" "opentelemetry-exporter-otlp-proto-common>=1.39,<2" \
    "openinference-instrumentation>=0.1.40" "openinference-instrumentation-openai>=0.1.60" "$@"
  touch "$folder/$name/.installed"
}

install sdks "openai>=3" "anthropic>=2" "langgraph>=1" langchain-openai "openai-agents>=0.20" \
  "pydantic-ai-slim[openai]>=2" "smolagents[openai]>=1.20" openinference-instrumentation-anthropic \
  openinference-instrumentation-langchain openinference-instrumentation-openai-agents \
  openinference-instrumentation-smolagents
install crewai "crewai>=1.10" openinference-instrumentation-crewai
install llama-index "llama-index-core>=0.14" llama-index-llms-openai-like \
  openinference-instrumentation-llama-index

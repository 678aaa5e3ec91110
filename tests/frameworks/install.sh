#!/usr/bin/env bash
# Install the libraries of the agent programs:  tests/frameworks/install.sh FOLDER
#
# Each group of libraries that can live together gets two environments: FOLDER/wire/GROUP holds them
# as their users install them, FOLDER/extra/GROUP the instrumentors of Phasewise's extras, too.
set -euo pipefail
folder=${1:?"name the folder, e.g. .engines/frameworks"}
here=$(dirname "$0")
uv=${UV:-.venv/bin/uv}
[ -x "$uv" ] || .venv/bin/python -m pip --disable-pip-version-check install --quiet uv

environment() { # PATH PACKAGE…
  local path=$1
  shift
  [ -e "$path/.installed" ] && return
  "$uv" venv --quiet --allow-existing --python .venv/bin/python "$path"
  "$uv" pip install --quiet --python "$path/bin/python" "opentelemetry-sdk>=1.39,<2" \
    "opentelemetry-exporter-otlp-proto-common>=1.39,<2" "openinference-instrumentation>=0.1.40" "$@"
  touch "$path/.installed"
}

group() { # NAME "INSTRUMENTOR…" LIBRARY…
  local name=$1 instrumentors=()
  for one in $2; do instrumentors+=("openinference-instrumentation-$one"); done
  shift 2
  environment "$folder/extra/$name" "$@" "${instrumentors[@]}"
  environment "$folder/wire/$name" "$@"
}

group clients "openai anthropic litellm" \
  "openai>=3" "anthropic>=2" "instructor>=1.17" "litellm>=1.110" "dspy>=3.4" "google-genai>=3" "mcp>=2" &
group agents "openai anthropic langchain openai-agents smolagents" \
  "openai>=3" "anthropic>=2" "langchain>=1.5" "langgraph>=1.2" langchain-openai langchain-anthropic \
  "openai-agents>=0.20" "pydantic-ai-slim[openai,anthropic]>=2" "smolagents[openai]>=1.26" &
wait -n
group toolkits "openai claude-agent-sdk" \
  "strands-agents[openai]>=1.60" "agno>=3" "haystack-ai>=3" "claude-agent-sdk>=0.2" &
wait -n
group microsoft "openai" \
  "autogen-agentchat>=0.7" "autogen-ext[openai]>=0.7" "agent-framework-core>=1.20" \
  "agent-framework-openai>=1.14" "semantic-kernel>=1.45" "openai>=3" &
wait -n
group ag2 "openai" "ag2[openai]>=0.13,<1" &  # 1.0 has left AutoGen's names behind
wait -n
group google "google-adk" "google-adk>=2" &
wait -n
group llama-index "openai llama-index" "llama-index-core>=0.14" "llama-index-llms-openai-like>=0.8" &
wait -n
group crewai "openai crewai" "crewai>=1.15" &
wait

if [ ! -e "$folder/js/.installed" ]; then
  mkdir -p "$folder/js"
  cp "$here/js/package.json" "$folder/js/"
  npm install --prefix "$folder/js" --no-audit --no-fund --loglevel=error
  touch "$folder/js/.installed"
fi

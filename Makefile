# Every command a person needs. `make help` lists them; each installs what it needs itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

PYTHON ?= python3
export PYTHONPATH := operator:trainer_image:server_image:localcluster:tools:.
export PYTHONDONTWRITEBYTECODE := 1

# Only looked for by what needs it: `make help` must work without.
RUN = $(if $(shell command -v $(PYTHON)),$(PYTHON),$(error $(PYTHON) is not on the PATH. Install Python 3.11 or newer \
(Debian, Ubuntu: apt-get install python3), or name yours: make PYTHON=/path/to/python))
# Environments are made on first use and kept in the cache, keyed by the lock files.
DEV = $(RUN) -m anneal_dev.environment dev --
TRAINER = $(RUN) -m anneal_dev.environment trainer --
UNIT := -q -m "not apiserver and not e2e and not torch" tests/unit

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.PHONY: demo
demo: ## From nothing to a tuned model that answers, on the embedded local cluster
	@$(DEV) python -m anneal_dev.demo

.PHONY: test
test: ## Everything: unit, API server, trainer and end-to-end rigs; sets up and cleans up
	@$(DEV) python -m anneal_dev.rigs

.PHONY: check
check: ## Lint, types, layers, stale generated files, unit tests (under 3 minutes)
	@$(DEV) ruff check .
	@$(DEV) mypy
	@$(DEV) lint-imports --no-cache
	@$(DEV) python tools/generate.py --check
	@$(DEV) python -m pytest $(UNIT)

.PHONY: generate
generate: ## Write CRDs, chart CRDs, values schema, kustomize and reference docs
	@$(DEV) python tools/generate.py

.PHONY: docs
docs: ## Build the documentation into build/site
	@NO_MKDOCS_2_WARNING=1 $(DEV) python -m mkdocs build --strict --quiet && echo "build/site/index.html"

.PHONY: format
format: ## Sort imports and apply safe lint fixes
	@$(DEV) ruff check --fix .

.PHONY: lock
lock: ## Compile requirements/*.txt from pyproject.toml; pins stay where they fit, unless UPGRADE=1
	@$(RUN) -m anneal_localcluster_images lock $(if $(UPGRADE),--upgrade)

.PHONY: cluster-up
cluster-up: ## Start the local single-node Kubernetes (root)
	@$(RUN) -m anneal_localcluster up --fake-gpus 1

.PHONY: cluster-down
cluster-down: ## Stop it and leave nothing but the cache
	@$(RUN) -m anneal_localcluster down

.PHONY: images
images: ## Build all images and load them into the local cluster
	@$(RUN) -m anneal_localcluster_images build
	@$(RUN) -m anneal_localcluster_images load

.PHONY: test-unit
test-unit: ## Unit tests alone
	@$(DEV) python -m pytest $(UNIT)

.PHONY: test-apiserver
test-apiserver: ## Tests against a real kube-apiserver
	@$(DEV) python -m pytest -q -m apiserver tests/apiserver

.PHONY: test-faults
test-faults: ## All faults, a kill at every write included, against a real kube-apiserver (about half an hour)
	@$(DEV) python -m pytest -q -m apiserver -n 3 tests/faults

.PHONY: test-trainer
test-trainer: ## Tests of the trainer and the transformers engine with real torch on CPU
	@$(TRAINER) python -m pytest -q -m torch tests/unit/trainer tests/contract

.PHONY: test-browser
test-browser: ## The run report in real Chromium (installed where it is missing); pictures in build/browser
	@$(DEV) python -m pytest -q -m browser tests/browser

.PHONY: test-e2e
test-e2e: ## Tests with real pods, on the cluster that `make demo` left up
	@$(DEV) python -m pytest -q -m e2e tests/e2e

.PHONY: bench-tax
bench-tax: ## What Anneal adds to the same pods made by hand, ROUNDS=5 in turn, on the cluster that `make demo` left up
	@$(DEV) python -m benchmarks.tax --rounds $(or $(ROUNDS),5)

.PHONY: bench-methods
bench-methods: ## Prompting, retrieval or fine-tuning, on the model that `make demo` left served
	@$(DEV) python -m benchmarks.methods

.PHONY: bench-controller
bench-controller: ## N=1000 resources on a real API server, ROUNDS=2 in turn with a Go twin (RELEASE=n of them end; RATE=20 a second; ALONE=yes)
	@$(DEV) python -m benchmarks.controller --count $(or $(N),1000) --rate $(or $(RATE),20) --release $(or $(RELEASE),0) --rounds $(or $(ROUNDS),2) $(if $(ALONE),--alone)

.PHONY: bench-report
bench-report: ## Put what was measured into benchmarks/results and the pages that show it
	@$(DEV) python -m benchmarks.report
	@$(DEV) python tools/generate.py

.PHONY: clean
clean: ## Remove build/ of this clone
	@rm -rf build

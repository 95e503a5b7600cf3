# `make help` lists the targets. A target that needs the environment creates it first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check
COMPILE := $(BIN)/pip-compile --quiet --build-deps-for editable --generate-hashes --allow-unsafe --strip-extras --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
export PYTHONDONTWRITEBYTECODE := 1

# Tests spend half of their time waiting for processes, so run one more at a time than there are processors.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(6, 1 + (os.cpu_count() or 1)))')

NODE_MODULES := node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help install demo node-modules types test lint format torture fuzz bench docs pictures lock wheel clean debian services services-stop

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(RUNTIME): requirements/runtime.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tillstream needs Python 3.11 or newer; try: make PYTHON=python3.11 install")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/runtime.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMP): $(RUNTIME) requirements/dev.lock
	$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@

install: $(STAMP) ## install tillstream and the tools for development into .venv

demo: $(RUNTIME) ## install only what runs, then show an invented chain of bakeries, live
	$(BIN)/tillstream up --demo

debian: ## install the Debian packages that tests need, if run as root
	@for program in chromium curl strace rabbitmq-server haproxy docker-compose nodejs npm; do \
	  command -v $$program >/dev/null || [ -x /usr/sbin/$$program ] || missing="$$missing $$program"; \
	done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    $$missing fonts-dejavu-core >/dev/null; \
	fi

node-modules: debian ## install the npm packages that check the page's scripts, if Node is there
	@if ! command -v npm >/dev/null; then \
	  echo "Node and npm are missing, so the page's scripts are not checked"; [ "$$CI" != true ]; \
	elif [ ! $(NODE_MODULES) -nt package-lock.json ]; then npm ci --silent; fi

types: $(STAMP) node-modules ## write the TypeScript types of the API from its OpenAPI document
	$(BIN)/python -m tests.inprocess.api_types

services: $(STAMP) debian ## start the servers that tests use and leave them running
	$(BIN)/python -m tests.support.services start

services-stop: $(STAMP) ## stop these servers and delete their data
	$(BIN)/python -m tests.support.services stop

test: $(STAMP) node-modules ## run every test except the long ones
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not torture"

torture: $(STAMP) debian ## kill processes and corrupt files under load, from a seed
	$(BIN)/python -m pytest -m torture

fuzz: SEED := $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
fuzz: $(STAMP) ## send a million broken files and thousands of requests; SEED=… repeats a run
	$(BIN)/python -m tests.fuzz.run --seed $(SEED)
	TILLSTREAM_EXAMPLES=1000 TILLSTREAM_SEED=$(SEED) $(BIN)/python -m pytest tests/e2e/test_openapi.py

lint: $(STAMP) node-modules ## check formatting, style, strict types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@! command -v npm >/dev/null || npm run --silent lint

format: $(STAMP) node-modules ## fix formatting, and style where the tools can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@! command -v npm >/dev/null || npm run --silent format

bench: $(STAMP) ## measure side by side in one run; prints a table and writes JSON
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## write the reference pages from the declarations in the code
	$(BIN)/python -m tools.docs docs

pictures: $(STAMP) debian ## take the pictures in the docs from the running demo
	$(BIN)/python -m tools.docs.pictures docs/pictures

lock: $(STAMP) ## pin the versions that pyproject.toml asks for; names no address
	$(COMPILE) --output-file requirements/runtime.lock pyproject.toml
	$(COMPILE) --all-extras --constraint requirements/runtime.lock --output-file requirements/dev.lock pyproject.toml

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove everything that was installed or built
	rm -rf $(VENV) node_modules dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz

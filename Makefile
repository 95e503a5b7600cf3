# `make help` lists the targets. Each one that needs the environment makes it first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format torture bench docs pictures lock wheel clean debian

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tillstream needs Python 3.11 or newer; try: make PYTHON=python3.11 install")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) ## set everything up in .venv

demo: $(STAMP) ## show a chain of bakeries selling live
	$(BIN)/tillstream up --demo

debian: ## have the Debian packages that tests use (does nothing for who is not root)
	@for program in chromium strace; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    $$missing fonts-dejavu-core >/dev/null; \
	fi

test: $(STAMP) debian ## run every test but the long ones
	$(BIN)/python -m pytest -m "not torture"

torture: $(STAMP) debian ## kill and corrupt with a seed, under load
	$(BIN)/python -m pytest -m torture

lint: $(STAMP) ## formatting, style and strict types, in check mode
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP) ## mend formatting and what style can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure, side by side in one run; prints a table and writes JSON
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## write the reference pages from the declarations
	$(BIN)/python -m tillstream.reference docs

pictures: $(STAMP) debian ## take the pictures of the docs, of the demo as it is now
	$(BIN)/python -m docs.pictures.take docs/pictures

lock: ## pin what pyproject.toml asks for
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host --no-header --output-file requirements.lock pyproject.toml

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove what was built
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis

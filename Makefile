# `make help` lists the targets. Each one that needs the environment makes it first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONDONTWRITEBYTECODE := 1

# Tests wait for processes as much as they work, so there is one more at a time than there are processors.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(6, 1 + (os.cpu_count() or 1)))')

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format torture fuzz bench docs pictures lock wheel clean debian services services-stop

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	@for program in chromium curl strace rabbitmq-server haproxy docker-compose; do \
	  command -v $$program >/dev/null || [ -x /usr/sbin/$$program ] || missing="$$missing $$program"; \
	done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    $$missing fonts-dejavu-core >/dev/null; \
	fi

services: $(STAMP) debian ## start the servers that tests use, and leave them running
	$(BIN)/python -m tests.support.services start

services-stop: $(STAMP) ## stop them, and throw away what they hold
	$(BIN)/python -m tests.support.services stop

test: $(STAMP) debian ## run every test but the long ones
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not torture"

torture: $(STAMP) debian ## kill and corrupt with a seed, under load
	$(BIN)/python -m pytest -m torture

fuzz: SEED := $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
fuzz: $(STAMP) ## a million broken files of every format, and thousands of requests; SEED=… repeats
	$(BIN)/python -m tests.fuzz.run --seed $(SEED)
	TILLSTREAM_EXAMPLES=1000 TILLSTREAM_SEED=$(SEED) $(BIN)/python -m pytest tests/e2e/test_openapi.py

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
	$(BIN)/python -m tools.docs docs

pictures: $(STAMP) debian ## take the pictures of the docs, of the demo as it is now
	$(BIN)/python -m tools.docs.pictures docs/pictures

lock: ## pin what pyproject.toml asks for
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host --no-header --output-file requirements.lock pyproject.toml

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove what was built
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz

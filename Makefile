# The words of this project. `make demo` and `make test` need nothing but make and Python 3.10 or later.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3 python; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -q -c constraints.txt
# One process per core, but never fewer than two: most of a test is waiting for a process to start.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 2 ] && echo $$n || echo 2)

.PHONY: help setup demo test test-fast lint types cov docs results bench bench-quick clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "tracerun needs Python 3.10 or later; none was found on PATH" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -q --upgrade 'pip>=25.1'

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt scripts/tracerun
	$(PIP) -e . --group examples
	@touch $@

$(VENV)/.setup: $(BIN)/python pyproject.toml constraints.txt scripts/tracerun
	$(PIP) -e . --group dev
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.setup ## everything that development needs, in .venv

demo: $(VENV)/.demo ## runs the example of four services and prints its call chain
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/callchain/run.sh

test: lint types $(VENV)/.setup ## lint, types, the architecture contract and all tests
	$(BIN)/pytest -n $(JOBS) --durations=10

test-fast: $(VENV)/.setup ## the tests that answer within two minutes
	$(BIN)/pytest -n $(JOBS) -m 'not slow'

lint: $(VENV)/.setup ## ruff and the architecture contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/.setup ## mypy, strict
	$(BIN)/mypy

cov: $(VENV)/.setup ## coverage, in the launcher and in the traced processes
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

docs: $(VENV)/.setup ## writes the pages that are made from the code
	$(BIN)/python -m tests.docs

results: $(VENV)/.setup ## runs all tests, and writes into the docs what they show of each library
	$(BIN)/pytest -n $(JOBS) --junitxml=.results.xml
	$(BIN)/python -m tests.results .results.xml
	$(BIN)/python -m tests.docs

bench: $(VENV)/.setup ## measures what tracing costs, beside bare Python and peers; takes an hour on a machine that is left alone
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.docs

bench-quick: $(VENV)/.setup ## the headlines of it, in three minutes
	$(BIN)/python -m benchmarks --quick

clean: ## removes what the other words made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* .results.xml

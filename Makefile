# The front door.  `make demo` and `make test` set up all that they need in .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check lint types bench gpu clean

help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1:\t/p' Makefile

demo: $(VENV)/.demo  ## run the default experiment, print its tables, draw its figures, write its page
	$(BIN)/kbench run quick
	$(BIN)/kbench compare quick
	$(BIN)/kbench plot quick --kind all
	$(BIN)/kbench report quick

test: $(VENV)/.test  ## run all tests that need no GPU
	$(BIN)/python -m pytest

check: lint types test  ## what a contributor runs before a commit: lint, types, test

lint: $(VENV)/.test  ## style of the code and of the imports
	$(BIN)/black --quiet --check --diff --line-length 120 kbench tests
	$(BIN)/isort --check-only --diff kbench tests
	$(BIN)/flake8 kbench tests

types: $(VENV)/.test  ## mypy, strict
	$(BIN)/mypy

bench: $(VENV)/.test  ## speed, as ratios against rivals measured in the same run
	$(BIN)/python tests/bench/bench_loop.py
	$(BIN)/python tests/bench/bench_plan.py
	$(BIN)/python tests/bench/bench_input.py
	$(BIN)/python tests/bench/bench_analysis.py
	$(BIN)/python tests/bench/bench_start.py

gpu: $(VENV)/.test  ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

clean:  ## remove the virtual environment and all caches; results stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache
	find kbench tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are renewed when what they install from has changed.
$(VENV)/.demo: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "kbench needs Python 3.11 or newer; make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

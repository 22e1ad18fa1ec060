# `make demo` and `make test` each set up what they need on a machine with Python 3.11, make and package registries.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= runs/demo

# An older Gymnasium than requirements.txt has; 1.2.2 is the oldest that pyproject.toml allows.
GYMNASIUM ?= 1.2.2

.PHONY: demo test test-gymnasium benchmarks lint gallery docs clean

demo: $(VENV)/.installed
	$(BIN)/incentivize run task-count --preset quick --out $(DEMO)

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-gymnasium:
	$(MAKE) VENV=.venv-gymnasium .venv-gymnasium/.installed
	.venv-gymnasium/bin/python -m pip install --quiet --disable-pip-version-check gymnasium==$(GYMNASIUM)
	.venv-gymnasium/bin/python -m pytest tests/envs/test_gym*.py

gallery: $(VENV)/.installed
	$(BIN)/python -m experiments.gallery

docs: $(VENV)/.installed
	$(BIN)/python -m sphinx -E -W --keep-going --quiet -c docs -d build/doctrees . build/docs
	@echo "build/docs/index.html"

benchmarks: .venv-peers/.installed
	.venv-peers/bin/python -m benchmarks --out docs/benchmarks/benchmarks.md

.venv-peers/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt '.[peers]'
	touch $@

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

$(VENV)/.installed: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "want Python 3.11 or newer as $(PYTHON); name another with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)

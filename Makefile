# `make demo` and `make test` each set up what they need on a machine with Python 3.11, make and package registries.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= runs/demo

# The two ends of what pyproject.toml allows: a Python, and which versions of what we depend on by ourselves.
PYTHON_oldest := 3.11
PYTHON_newest := 3.13
VERSIONS_oldest := lowest-direct
VERSIONS_newest := highest

.PHONY: demo test test-oldest test-newest benchmarks dependencies lint gallery docs clean

demo: $(VENV)/.installed
	$(BIN)/incentivize run task-count --preset quick --out $(DEMO)

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-oldest test-newest: test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest -n 2 --dist worksteal

.venv-oldest/.installed .venv-newest/.installed: .venv-%/.installed: $(VENV)/.installed
	$(BIN)/uv venv --quiet --clear --python $(PYTHON_$*) .venv-$*
	$(BIN)/uv pip install --quiet --python .venv-$* --resolution $(VERSIONS_$*) --editable '.[dev]'
	touch $@

gallery: $(VENV)/.installed
	$(BIN)/python -m benchmarks.gallery

docs: $(VENV)/.installed
	$(BIN)/python -m sphinx -E -W --keep-going --quiet -c docs -d build/doctrees . build/docs
	@echo "build/docs/index.html"

benchmarks: .venv-peers/.installed
	.venv-peers/bin/python -m benchmarks --out docs/benchmarks/benchmarks.md

# What we stand on, weighed in an environment that has nothing else.
dependencies:
	rm -rf .venv-core
	$(PYTHON) -m venv .venv-core
	.venv-core/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt .
	.venv-core/bin/python -m benchmarks.dependencies --out docs/dependencies.md

.venv-peers/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt '.[peers]'
	touch $@

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright --pythonpath $(BIN)/python

$(VENV)/.installed: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "PYTHON = $(PYTHON): must be 3.11 or newer. Name another with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)

# Everything from a fresh clone: each target makes .venv first if it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Test processes; each computes with one thread, so that they do not fight for the cores.
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

.PHONY: help setup demo test test-full lint bench docs clean

help:
	@echo "make demo       masks, an overlay and a summary of the bundled photo with the bundled model"
	@echo "make test       lint, types and tests (under 15 minutes on 2 cores)"
	@echo "make test-full  adds the slow parity and training runs"
	@echo "make bench      speed and memory against the official code, in the same run"
	@echo "make docs       the documentation site, in site/"
	@echo "make clean      remove .venv and everything built"

$(INSTALLED): pyproject.toml constraints.txt tests/parity/requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "everymask needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt setuptools wheel torch
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	SAM2_BUILD_CUDA=0 $(BIN)/pip install --quiet --no-deps --no-build-isolation -r tests/parity/requirements.txt
	touch $@

setup: $(INSTALLED)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(PYTEST)

test-full: lint
	$(PYTEST) -m "full or not full"

demo: $(INSTALLED)
	$(BIN)/everymask demo

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

docs: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site

# Everything from a fresh clone: each target makes .venv first if it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help setup demo test test-full lint bench docs clean

help:
	@echo "make demo       masks, an overlay and a summary of the bundled photo with the bundled model"
	@echo "make test       lint, types and tests (under 15 minutes on 2 cores)"
	@echo "make test-full  adds the slow parity and training runs"
	@echo "make bench      speed and memory against the official code, in the same run"
	@echo "make docs       the documentation site, in site/"

$(INSTALLED): pyproject.toml constraints.txt tests/parity/requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
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
	$(BIN)/python -m pytest

test-full: lint
	$(BIN)/python -m pytest -m "full or not full"

demo: $(INSTALLED)
	$(BIN)/everymask demo

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

docs: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site

# Everything from a fresh clone: each target makes .venv first if it is missing or out of date.
PYTHON ?= $(if $(filter Windows_NT,$(OS)),python,python3)
VENV := .venv
BIN_NAME := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(BIN_NAME)
# What is in .venv: the package with what it needs, for the demo; the tools and packages of the tests besides.
CORE := $(VENV)/.core
INSTALLED := $(VENV)/.installed
# Where pip also looks for torch: the build without CUDA, which is 2.5 GB smaller. With a GPU: make TORCH= test
TORCH ?= --extra-index-url https://download.pytorch.org/whl/cpu
# Test processes; each computes with one thread, so that they do not fight for the cores.
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

# The tests that compare numbers: with the official code, with a plain reference, with what was recorded.
NUMERICAL := tests/parity tests/compat tests/nn tests/golden tests/masks/test_upscaled.py \
	tests/models/test_decode_many.py tests/models/test_picture_sizes.py \
	tests/everything/test_generate.py tests/everything/test_generator_parity.py \
	tests/everything/test_nano_parity.py tests/everything/test_flip_margin.py \
	tests/video/test_video_parity.py tests/video/test_sam2_video_predictor.py
# Kernels as on a CPU with AVX2 and nothing newer, and as on one without vector instructions.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
PLAIN := ATEN_CPU_CAPABILITY=default

.PHONY: help setup demo test test-cpus test-native test-avx2 test-plain test-full lint bench docs dist clean \
	test-clients browser page-tools

help:
	@echo "make demo       masks, an overlay and a summary of the bundled photo with the bundled model"
	@echo "make test       lint, types and tests (under 15 minutes on 2 cores)"
	@echo "make test-cpus  the numerical tests natively, as with AVX2 only, and without vector instructions"
	@echo "make test-clients  programs of others, unchanged, on our modules in place of the official ones"
	@echo "make test-full  adds the slow parity and training runs"
	@echo "make bench      speed and memory against the official code, in the same run"
	@echo "make docs       the documentation site, in site/"
	@echo "make browser    Debian's Chromium for the tests of the studio (as root; make test does it by itself)"
	@echo "make dist       wheel and source archive, checked and tried in a clean venv"
	@echo "make clean      remove .venv and everything built"

$(CORE): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "everymask needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --retries 1 $(TORCH) -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

# Official packages that would shadow others or want other versions, each in a folder of its own.
RELATIVES := edgetam efficienttam segment_anything_hq panopticapi

$(INSTALLED): $(CORE) tests/parity/requirements.txt $(RELATIVES:%=tests/parity/relatives/%.txt) \
		tests/clients/requirements.txt
	$(BIN)/pip install --quiet -c constraints.txt setuptools wheel
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	SAM2_BUILD_CUDA=0 $(BIN)/pip install --quiet --no-deps --no-build-isolation -r tests/parity/requirements.txt
	for name in $(RELATIVES); do $(BIN)/pip install --quiet --no-deps --upgrade \
		--target $(VENV)/relatives/$$name -r tests/parity/relatives/$$name.txt || exit 1; done
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(VENV)/clients -r tests/clients/requirements.txt
	touch $@

setup: $(INSTALLED)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --follow-imports=silent tests/typing/consumer.py

# The studio's page is tested in a real browser. Without one those tests are skipped, which pytest says;
# with CI set they fail.
browser:
	@for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do \
		command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; \
	else echo "no Chromium here and no root to install one: tests of the studio's page are skipped"; fi

# TypeScript and axe-core check the page; nothing of them ships.
page-tools: tests/studio/node_modules/.installed

tests/studio/node_modules/.installed: tests/studio/package.json
	@if command -v npm >/dev/null; then \
		npm install --prefix tests/studio --silent --no-audit --no-fund --no-package-lock && touch $@; \
	else echo "no npm here: the page's types and accessibility are not checked"; fi

test: lint browser page-tools
	$(PYTEST) -rs

test-cpus: test-native test-avx2 test-plain

test-native: $(INSTALLED)
	$(PYTEST) $(NUMERICAL)

test-avx2: $(INSTALLED)
	$(AVX2) $(PYTEST) $(NUMERICAL)

test-plain: $(INSTALLED)
	$(PLAIN) $(PYTEST) $(NUMERICAL)

# Programs of others on our modules in place of the official ones; those that are on no package index are fetched.
test-clients: $(INSTALLED)
	@grep -v '^#' tests/clients/checkouts.txt | while read -r name repository commit; do \
		test -d $(VENV)/checkouts/$$name && continue; folder=$(VENV)/checkouts/.$$name; rm -rf $$folder; \
		git init -q $$folder && git -C $$folder fetch -q --depth 1 $$repository $$commit \
			&& git -C $$folder checkout -q FETCH_HEAD && mv $$folder $(VENV)/checkouts/$$name \
			|| { rm -rf $$folder; echo "$$name could not be fetched: its tests are skipped"; }; done
	$(PYTEST) -rs -m "full or not full" tests/clients tests/parity/test_hq_sam2.py
	$(PYTEST) -rs tests/compat

test-full: lint browser page-tools
	$(PYTEST) -m "full or not full"

demo: $(CORE)
	$(BIN)/everymask demo

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

docs: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Wheel and source archive, checked, the wheel installed in a venv of its own and run from another folder.
dist: $(INSTALLED)
	rm -rf dist && $(BIN)/python -m hatchling build
	$(BIN)/pip install --quiet -c constraints.txt twine
	$(BIN)/twine check --strict dist/*
	rm -rf build/venv && $(PYTHON) -m venv build/venv
	build/venv/$(BIN_NAME)/pip install --quiet --no-deps --retries 1 $(TORCH) -c constraints.txt torch
	build/venv/$(BIN_NAME)/pip install --quiet -c constraints.txt dist/*.whl
	mkdir -p build/elsewhere && cd build/elsewhere && ../venv/$(BIN_NAME)/everymask demo

clean:
	rm -rf $(VENV) build dist site

# make demo   install everything and animate generated portraits with generated clips and sounds
# make test   install everything and run the tests
# To choose a Python version: make PYTHON=python3.12 ...

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# Files of tests run in two processes, each with a Ray and a Prefect server of its own.
PARALLEL := --numprocesses 2 --dist loadfile

.PHONY: setup demo test long lint bench clean
setup: $(READY)

# insightface depends on opencv-python, which needs desktop libraries; where they are missing, replace it with the
# headless build of the same version.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'troupe needs Python 3.11 or newer: make PYTHON=python3.11'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,s3]'
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
	  version=$$($(BIN)/python -c 'from importlib.metadata import version; print(version("opencv-python"))'); \
	  $(BIN)/python -m pip uninstall --quiet --yes opencv-python; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check "opencv-python-headless==$$version"; }
	@touch $@

demo: setup
	$(BIN)/troupe demo

test: setup
	$(BIN)/python -m pytest $(PARALLEL)

# Runs that are killed, stopped and starved, with their own Ray, and the benchmarks at their smallest sizes: some minutes.
long: setup
	$(BIN)/python -m pytest -m long $(PARALLEL)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m bench.models.sampler

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

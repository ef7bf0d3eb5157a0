# Everything runs in a virtual environment inside the checkout; nothing outside it is touched.
#
#   make demo      train, export, run in TFLM, price and check a small network on handwritten digits
#   make test      run the tests
#   make check     lint, types, import contracts
#   make clean     remove the environment and everything that was built

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Two busy threads that spin while they wait make torch up to ten times slower on a small machine.
export OMP_WAIT_POLICY ?= passive

.PHONY: help demo test check lint types contracts format venv clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "sapool needs Python 3.10 to 3.13; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV) (torch and the runtimes: a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[train,export,tflm,dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python examples/digits/demo.py

# A process for each core, each with one thread: threads of torch would only wait for each other. A file stays in one process,
# so that what its tests share is made once.
test: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: lint types contracts

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

contracts: $(READY)
	@$(BIN)/lint-imports

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist run .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

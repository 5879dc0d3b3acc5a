# Two commands: `make demo` shows the whole job, `make test` checks the code. Both set up .venv first if it is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# --no-compile: byte code is made when a module is first imported, not for all of torch at once.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

# The tests start hundreds of programs. Where byte code is not kept, each of them compiles two thousand files of torch.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test torture lint format clean
help:
	@echo "make demo    generate data, train, translate and score the embedded example (about 6 minutes on 2 cores)"
	@echo "make test    ruff, mypy, pytest"
	@echo "make torture  every fault of docs/reliability.md in full (two and a half hours, most of them soak)"
	@echo "make lint    ruff and mypy only"
	@echo "make format  let ruff rewrite the code's layout"
	@echo "make clean   remove .venv, runs and caches"

demo: $(VENV)/.demo
	$(BIN)/python recipes/phrasebook_en_de.py

# Three processes on two cores: many tests wait for programs that they have started.
test: lint
	$(BIN)/python -m pytest -n 3 --dist worksteal

# Every fault of docs/reliability.md in full, the soak included; the table at the end tells what was reached.
torture: $(VENV)/.dev
	$(BIN)/python -m pytest tests/reliability --full -n 2 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or later is needed: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is needed (Debian: apt install python3-venv)"; exit 2; }

# The stamps come last, so that an interrupted installation is taken up again.
$(VENV)/.demo: setup.cfg constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (one to three minutes)"
	@$(INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/.dev: setup.cfg constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (one to three minutes)"
	@$(INSTALL) -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache

# Every target sets up what it needs. PYTHON picks the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One process a core, each with one thread: many small tests, and threads that wait for one another cost more than they bring.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: demo test test-fast check format report clean

demo: $(STAMP)  ## tune SmolLM2-135M on the failure-aware set and show how much better it is
	$(BIN)/nescio run configs/quickstart.yaml

test: $(STAMP)  ## the whole suite, real weights and browser included
	$(PYTEST)

test-fast: $(STAMP)  ## the suite without what needs real weights, a browser or minutes
	$(PYTEST) -m "not slow"

check: $(STAMP)  ## lint, format, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

report: $(STAMP)  ## print the path of the newest report
	@$(BIN)/nescio report --newest

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "nescio needs Python 3.11 or newer: make PYTHON=python3.11 ..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache

# Every verb installs what it needs into .venv first. Another interpreter: make PYTHON=python3.12
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# One thread for BLAS: implicit and torch bring their own.
export OPENBLAS_NUM_THREADS := 1
# A file's tests share what they set up; a process takes about 1 GB.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo ui test test-all fast slow check format bench clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(INSTALLED) ## Run the pipeline on the bundled Open Clip Art data and print the scoreboard
	$(BIN)/cf-pipeline run --budget demo

ui: $(INSTALLED) ## Dagster's webserver and daemon on the same home
	$(BIN)/cf-pipeline ui

test: check fast ## Lint, types, import contracts and the fast tests

test-all: test slow ## The same and the slow tests

fast: $(INSTALLED)
	$(BIN)/pytest -m "not slow" $(PARALLEL)

slow: $(INSTALLED)
	$(BIN)/pytest -m slow $(PARALLEL)

check: $(INSTALLED) ## Formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED) ## Every benchmark at a size that takes minutes
	for script in benchmarks/*.py; do $(BIN)/python $$script; done

clean: ## Remove the environment and what the demo wrote
	rm -rf $(VENV) data/home .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

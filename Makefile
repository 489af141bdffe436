# make run ARGS="optimizer=sgd lr=0.1"    one run, or with -m a sweep
# make test                               every test but the slow ones
# make test-slow                          those
# make test-bits                          those of bits, on simulated processors
# make test-mlflow                        those of the store, with older versions of MLflow
# make check                              format, lint, types
# make test-newest                        the quick tests with the newest of everything; they may fail
# make bench                              speed, as a table of ratios
# make pictures                           those of the README, anew
# make ui ARGS=latest                     MLflow's UI at a run or a sweep
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 5000
BIN = .venv/bin

# Half of the slow tests wait for servers, and for processes that they kill.
SLOW = $(shell $(PYTHON) -c 'import os; print(3 * os.cpu_count() // 2)')

# The oldest that is allowed, and one between that and the pinned one. MLflow 3.1 does not work with
# SQLAlchemy 2.1.
MLFLOWS = 3.1.4 3.10.1
WITH_3.1.4 = sqlalchemy==2.0.44

.PHONY: run test test-slow test-bits test-mlflow test-newest check bench pictures ui

run: .venv/installed
	@$(BIN)/python -m runner $(ARGS)

test: .venv/installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-slow: .venv/installed
	$(BIN)/python -m pytest -n $(SLOW) --dist worksteal -m slow $(ARGS)

test-bits: .venv/installed
	$(BIN)/python -m tests.support.processors -q -n auto --dist worksteal $(ARGS)

test-mlflow: $(MLFLOWS:%=.mlflow/%/tested)

$(MLFLOWS:%=.mlflow/%/tested): .mlflow/%/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .mlflow/$* \
	  mlflow==$* mlflow-skinny==$* mlflow-tracing==$* $(WITH_$*)
	PYTHONPATH=$(CURDIR)/.mlflow/$* $(BIN)/python -m pytest -n auto -W ignore -m "not slow" \
	  tests/tracking/test_store.py $(ARGS)

.PHONY: $(MLFLOWS:%=.mlflow/%/tested)

test-newest:
	$(PYTHON) -m venv --clear .newest
	.newest/bin/python -m pip install --quiet --editable '.[dev]'
	.newest/bin/python -m pytest -n auto --dist worksteal -W default -m "not slow" $(ARGS)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/installed
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	@$(BIN)/python -m benchmarks $(ARGS)

pictures: .venv/installed
	@$(BIN)/python -m docs.pictures

ui: .venv/installed
	@$(BIN)/python -m runner.ui --host $(HOST) --port $(PORT) $(ARGS)

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

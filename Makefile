# make run ARGS="optimizer=sgd lr=0.1"    one run, or with -m a sweep
# make test                               every test but the slow ones
# make test-slow                          those
# make check                              format, lint, types
# make bench                              speed, as a table of ratios
# make pictures                           those of the README, anew
# make ui ARGS=latest                     MLflow's UI at a run or a sweep
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 5000
BIN = .venv/bin

.PHONY: run test test-slow check bench pictures ui

run: .venv/installed
	@$(BIN)/python -m runner $(ARGS)

test: .venv/installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-slow: .venv/installed
	$(BIN)/python -m pytest -n auto --dist loadgroup -m slow $(ARGS)

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/installed-bench
	@$(BIN)/python -m benchmarks $(ARGS)

pictures: .venv/installed
	@$(BIN)/python -m docs.pictures

ui: .venv/installed
	@$(BIN)/python -m runner.ui --host $(HOST) --port $(PORT) $(ARGS)

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# What ours is measured against.
.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

# Every target does its own set-up; nothing is installed outside $(VENV) and sorce's cache folder.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test measures check types wheel ready

demo: ready          ## start a local OpenSearch, find small things in 40 scenes, stop it
	$(BIN)/python -m sorce.demo

test: ready          ## all tests, against a real OpenSearch
	$(BIN)/python -m pytest

measures: ready      ## every measure, a line each (ONLY="name ..." for some)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev,bench]'
	$(BIN)/python benchmarks/measures.py $(ONLY)

check: ready         ## formatter, linter, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	.ci/types $(BIN)

wheel: ready         ## build the wheel, install it elsewhere, run its commands
	.ci/wheel $(BIN)

ready: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch $@

# Every target does its own set-up; nothing is installed outside $(VENV) and sorce's cache folder.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# The tested versions, for what is installed and for what builds it.
PINNED := --constraints constraints.txt --build-constraints constraints.txt
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python

.PHONY: demo test measures check types wheel constraints ready

demo: ready          ## start a local OpenSearch, find small things in 40 scenes, stop it
	$(BIN)/python -m demo

test: ready          ## the tests, against a real OpenSearch
	$(BIN)/python -m pytest

measures: ready      ## every measure, a line each (ONLY="name ..." for some)
	$(INSTALL) $(PINNED) --editable '.[dev,bench]'
	$(BIN)/python benchmarks/measures.py $(ONLY)

check: ready         ## formatter, linter, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	.ci/types $(BIN)

wheel: ready         ## build the wheel, install it elsewhere, run its commands
	.ci/wheel $(BIN)

constraints: ready   ## take the newest versions of everything; commit constraints.txt when the tests pass with them
	.ci/constraints $(BIN)/uv

ready: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(INSTALL) $(PINNED) --editable '.[dev]'
	touch $@

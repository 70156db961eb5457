# Every target does its own set-up; nothing is installed outside $(VENV) and sorce's cache folder.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# The tested versions, for what is installed and for what builds it.
PINNED := --constraints constraints.txt --build-constraints constraints.txt
# What is imported is compiled once. Otherwise each of the many processes of the tests compiles all of torch.
unexport PYTHONDONTWRITEBYTECODE
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python

.PHONY: demo test test-long test-browser test-bfloat16 test-loaded test-newest screenshots faults measures check wheel constraints docs ready

demo: ready          ## start a local OpenSearch, find small things in 40 scenes, stop it
	$(BIN)/python -m demo

test: ready          ## the tests, against a real OpenSearch, in a random order; those that take minutes are `test-long`
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m 'not long'
	@echo "make test left out: what takes minutes (make test-long); what needs Chromium, which is installed as root (make test-browser)"

test-long: ready     ## the tests that take minutes
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m 'long and not browser'

test-browser: ready  ## the page, and Dashboards' panels, in Chromium; installs Chromium (as root), Vega and axe (npm), if missing
	$(INSTALL) $(PINNED) --editable '.[dev,browser]'
	.ci/browser
	SORCE_BROWSER=1 $(BIN)/python -m pytest -q -m browser tests/dashboards tests/plugin/service/page

screenshots: ready   ## pictures of the page into build/screenshots: light and dark, desktop and phone
	$(INSTALL) $(PINNED) --editable '.[dev,browser]'
	.ci/browser
	$(BIN)/python -m tests.kit.screenshots build/screenshots

test-bfloat16: ready ## what depends on bfloat16: with and without it, whatever this CPU has
	SORCE_BFLOAT16=off $(BIN)/python -m pytest -q -m bfloat16
	SORCE_BFLOAT16=on $(BIN)/python -m pytest -q -m bfloat16

test-loaded: ready   ## the tests, beside eight busy processes
	.ci/loaded $(BIN)

test-newest: ready   ## the tests, with the newest version of every library
	.ci/newest $(BIN)

faults: ready        ## the tests of faults: each fails on 0.1.0 and passes here
	$(BIN)/python -m tests.faults.compare

measures: ready      ## every measure, a line each (ONLY="name ..." for some)
	$(INSTALL) $(PINNED) --editable '.[dev,bench,browser]'
	$(BIN)/python benchmarks/measures.py $(ONLY)

check: ready         ## formatter, linter, arrows between rooms, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	.ci/types $(BIN)

docs: ready          ## build the documentation into build/docs; a broken link or a missing name is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

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

# Every target makes .venv from the pinned, hashed lock file first; nothing else is needed but
# Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo up ui-read-only e2e screenshots test test-midnight test-postgres test-python test-snowflake snowflake-first-hour lint bench drill mutants lock docs docs-site

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@echo "Making $(VENV) from requirements.lock (once; a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mab needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP)  ## Run the pipeline on real experiments and show tomorrow's shares
	@$(BIN)/mab demo

up: $(STAMP)  ## Dagster, its daemon, the API and the dashboard on 127.0.0.1, until Ctrl-C
	@$(BIN)/mab up

ui-read-only: $(STAMP)  ## The Dagster UI for analysts: look, but start nothing
	@$(BIN)/mab up --read-only

test: $(STAMP)  ## Unit and integration tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q

test-midnight: $(STAMP)  ## Tests that read the real clock, under one that passes midnight (libfaketime)
	@$(BIN)/python -m tests.midnight

test-postgres: $(STAMP)  ## A day on the production settings: Dagster on a PostgreSQL that the tests start
	@$(BIN)/python -m pytest -q tests/postgres

test-python:  ## Unit tests and the demo on another Python: PYTHON=python3.13
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
		other=build/python-$$version && \
		$(MAKE) --no-print-directory VENV=$$other setup && \
		$$other/bin/python -m pytest -n 2 -q -p no:cacheprovider tests/unit && \
		MAB_HOME=$$(mktemp -d)/home $$other/bin/mab demo

test-snowflake: $(STAMP)  ## The pipeline on Snowflake's emulator; MAB_TEST_SNOWFLAKE=live: on an account
	@$(BIN)/python -m pytest -q tests/snowflake

snowflake-first-hour: $(STAMP)  ## The first hour on an account, step by step; without one on the emulator
	@$(BIN)/python -m pytest -v tests/snowflake/test_first_hour.py

drill: $(STAMP)  ## Kill runs, daemon and webserver at 30 random moments; compare with an undisturbed home
	@MAB_DRILL_KILLS=$${MAB_DRILL_KILLS:-30} $(BIN)/python -m pytest -v -x tests/drill

e2e: $(STAMP)  ## A day in a real browser (Chromium); the schedule under a shifted clock (libfaketime)
	@$(BIN)/python -m pytest -q tests/e2e

screenshots: $(STAMP)  ## Take the pictures of docs/img again: the Dagster UI and the dashboard
	@MAB_E2E_SCREENSHOTS=docs/img $(BIN)/python -m pytest -q tests/e2e/test_a_day_by_hand.py tests/e2e/test_dashboard_pictures.py

lint: $(STAMP)  ## Style, types, import contracts, prose, SQL in Snowflake's dialect
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tools.prose
	@$(BIN)/python -m tools.snowflake_parse

$(VENV)/.bench: $(STAMP) tests/bench/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/bench/requirements.lock
	@touch $@

bench: $(VENV)/.bench  ## Measure ratios and write docs/BENCHMARKS.md
	@$(BIN)/python -m tests.bench

mutants: $(STAMP)  ## Break the code in small ways, one at a time: do the tests notice? (hours)
	@nice -n 19 $(BIN)/python -m tests.mutants $(GROUPS)

docs: $(STAMP)  ## Regenerate the data dictionary, the ERD and the pictures of the concepts
	@$(BIN)/python -m tools.schema_docs
	@$(BIN)/python -m tools.pictures

$(VENV)/.site: $(STAMP) tests/docs_site/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/docs_site/requirements.lock
	@touch $@

docs-site: $(VENV)/.site  ## Build the documentation as a site in build/site, and test it
	@$(BIN)/python -m tools.docs_site
	@$(BIN)/python -m pytest -q tests/docs_site

lock: $(STAMP)  ## Resolve requirements.lock again from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--all-extras --no-header --no-annotate \
		pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--group bench --constraint requirements.lock --no-header --no-annotate \
		-o tests/bench/requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--group site --constraint requirements.lock --no-header --no-annotate \
		-o tests/docs_site/requirements.lock

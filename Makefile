PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
CODE := calltrack tasks webhooks simulator migrations tests bench celeryconfig.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench chaos conformance constraints clean

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / — /'

setup: .venv/ready  ## make or refresh .venv

demo: .venv/ready  ## watch the whole system do its main job (KEEP=1: it stays up afterwards)
	@$(BIN)/calltrack demo $(if $(KEEP),--keep)

test: .venv/ready-test lint  ## check and test everything
	@$(BIN)/coverage erase
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --durations 5 --cov --cov-report= $(T)
	@$(BIN)/coverage report

lint: .venv/ready-test  ## what needs no running: style, types, import directions
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "Run: $(BIN)/ruff format $(CODE)"; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/ready  ## measure; prints ratios to peers and to the limits of this machine
	@$(MAKE) --silent --no-print-directory .venv-peers/ready 2>/dev/null || true  # it goes on without them, and says so
	@$(BIN)/python -m bench

chaos: .venv/ready-test  ## hurt the real system and count every call (ROUNDS=5 SEED=...; see docs/reliability.md)
	@$(BIN)/python -m tests.chaos --rounds $(or $(ROUNDS),5) $(if $(SEED),--seed $(SEED)) $(if $(SHORT),--short)

conformance: .venv/ready-test  ## try every bad habit of every provider; writes docs/conformance.md
	@$(BIN)/pytest --quiet --numprocesses 2 --habits all --matrix docs/conformance.md tests/providers/test_conformance.py

constraints:  ## resolve the dependencies anew (needs uv)
	uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet \
		bench/requirements-peers.in --output-file bench/requirements-peers.txt
	uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet \
		--extra test pyproject.toml --output-file constraints-test.txt
	echo setuptools | uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet \
		--constraint constraints-test.txt pyproject.toml - --output-file constraints.txt

clean:  ## remove .venv and everything that was made here
	rm -rf .venv .venv-peers .calltrack .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "calltrack needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv …"
	@$(PIP) --require-hashes --requirement constraints.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/ready-test: .venv/ready constraints-test.txt
	@echo "Installing what the tests need …"
	@$(PIP) --require-hashes --requirement constraints-test.txt
	@touch $@

.venv-peers/ready: bench/requirements-peers.txt | .venv/ready
	@test -x .venv-peers/bin/python || $(BIN)/python -m venv .venv-peers
	@echo "Installing dlt and Singer into .venv-peers …"
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# Needs Python 3.11 or newer (with venv), git and make; everything else is installed into .venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help venv demo test plans variants simulate crash promises bench check format clean distclean

UV_VERSION := 0.13.9
# The oldest supported Python first, so that a check here holds everywhere.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	if command -v $$name >/dev/null 2>&1 \
		&& $$name -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$name; break; fi; done)
BIN := .venv/bin
EXAMPLE := examples/bitloot-tillgate
READY := .venv/.ready
ARGS ?=

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

venv: $(READY) ## install everything that the lock file names into .venv

$(READY): pyproject.toml uv.lock
	@if [ -z "$(PYTHON)" ]; then \
		echo "no Python 3.11 or newer with venv found: set PYTHON=/path/to/python" >&2; exit 1; fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv UV_COMPILE_BYTECODE=1 \
		$(BIN)/uv sync --frozen --inexact --quiet --python $(BIN)/python
	@# Also where Python is told to write no bytecode, processes start in a second, not in five.
	@$(BIN)/python -m compileall -q src || true
	@touch $@

demo: venv ## the whole shop on this machine; ONCE=1 ends after one purchase
	$(BIN)/bitloot demo $(if $(filter 1 true yes,$(ONCE)),--once) $(ARGS)

test: venv ## every test, three side by side; ARGS="tests/unit -k money" for some
	$(BIN)/pytest --numprocesses 3 $(ARGS)

simulate: venv ## the whole shop in storms; SEEDS=20000 runs so many, ARGS="--from 7 --long"
	$(BIN)/python tests/unit/simulation/run.py --seeds $(or $(SEEDS),2000) $(ARGS)

crash: venv ## kill the shop at every boundary of the selling path; KILLS=100 at each, SEED=1
	$(BIN)/python tests/crash/run.py --kills-per-boundary $(or $(KILLS),100) \
		--seed $(or $(SEED),1) $(ARGS)

promises: venv ## outages and floods at full scale, into docs/reliability.md; ARGS="-k r6"
	$(BIN)/pytest tests/promises tests/contract/http/test_http_matrix.py \
		--full --figures-into docs/reliability.md $(ARGS)

plans: venv ## how the shelves are read at 100,000 products: no table from end to end
	$(BIN)/pytest tests/integration/test_shelf_plans.py --full $(ARGS)

bench: venv ## measure every figure beside its limit; ROUNDS=5, ARGS="--only relay order-place"
	$(BIN)/python -m bench --rounds $(or $(ROUNDS),5) $(ARGS)

variants: venv ## plant every known bug in a copy of the tree: each turns its named test red
	$(BIN)/pytest --numprocesses 2 tests/known_bad/test_each_is_caught.py $(ARGS)

check: venv ## lint, format, types and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src migrations tests bench
	MYPYPATH=$(EXAMPLE)/src:$(EXAMPLE)/tests $(BIN)/mypy $(EXAMPLE)/src $(EXAMPLE)/tests
	$(BIN)/lint-imports

format: venv ## put the code into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the tools left behind, not .venv
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find src tests migrations examples -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv and the demo's data as well
	rm -rf .venv var

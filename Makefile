# Two commands do everything on a fresh machine with python3: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NPM ?= npm

.PHONY: demo test soak test-system system-tools lint types package bench clean

demo: $(VENV)/.runtime
	$(BIN)/lad demo

test: $(VENV)/.test tests/azurite/node_modules/.installed lint types
	$(BIN)/pytest -n 2 --dist worksteal tests/unit
	$(BIN)/pytest -n 4 --dist worksteal -m "not system" tests/integration

# Faults of every kind for MINUTES (1,000 in 24 minutes); the seed is printed, SEED=… repeats it.
MINUTES ?= 25
soak: $(VENV)/.test tests/azurite/node_modules/.installed
	$(BIN)/python -m tests.campaign_run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

test-system: $(VENV)/.test system-tools
	$(BIN)/pytest -m system

# What the system tests drive. Where apt or root is missing they skip with a reason.
SYSTEM_TOOLS := systemd-container debootstrap sblim-wbemcli
system-tools:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  dpkg -s $(SYSTEM_TOOLS) >/dev/null 2>&1 || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(SYSTEM_TOOLS) >/dev/null; } || \
	  echo "apt-get could not install $(SYSTEM_TOOLS): tests that need them are skipped"; \
	else echo "no apt-get or not root: tests that need $(SYSTEM_TOOLS) are skipped where they are missing"; fi

lint: $(VENV)/.test
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

package: $(VENV)/.runtime
	$(BIN)/python packaging/build_zip.py --out dist

# All of them, whatever one of them says; the last line names those that missed an aim (exit code 1 then).
BENCHES := sampling classes server config document replay store upload memory tree
bench: $(VENV)/.test
	@missed=; for name in $(BENCHES); do echo "== bench/$$name.py"; $(BIN)/python bench/$$name.py || missed="$$missed $$name"; done; \
	  if [ -n "$$missed" ]; then echo "aims missed:$$missed"; exit 1; fi

# Bytecode is written here once: with PYTHONDONTWRITEBYTECODE each command would compile again what it imports.
$(VENV)/.runtime: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "lad-emulator needs Python 3.10 or newer; run: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .
	$(BIN)/python -m compileall -q handler extension omi_queries
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

# Azurite, the real table service of the tests. Without node the tests that need it skip with a reason (and fail in CI).
tests/azurite/node_modules/.installed: tests/azurite/package.json tests/azurite/package-lock.json
	@if command -v $(NPM) >/dev/null 2>&1; then \
	  cd tests/azurite && $(NPM) ci --no-audit --no-fund --loglevel=error && touch node_modules/.installed; \
	else echo "npm is not installed: the Azurite tests will be skipped (CI fails without it)"; fi

clean:
	rm -rf $(VENV) build dist *.egg-info tests/azurite/node_modules

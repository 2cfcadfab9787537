# make run: see it work.   make test: prove it.   Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin
# CPU build where the index or a find-links folder offers one; see README, "Install"
TORCH := torch==2.13.0
DEBIAN_PACKAGES := mosquitto influxdb victoria-metrics
ARGS ?=

.PHONY: install run test test-all bench chaos soak lint docs services clean

install: .venv/.installed

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bmsd needs Python 3.11 or newer: set PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "$(PYTHON) -m venv does not work here: sudo apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

run: install
	$(BIN)/bmsd demo $(ARGS)

test: .venv/.installed-dev services
	$(BIN)/pytest -m "not slow" $(ARGS)
	@$(MAKE) -s missing-services

test-all: .venv/.installed-dev services lint
	$(BIN)/pytest $(ARGS)
	@$(MAKE) -s missing-services

bench: .venv/.installed-dev services
	for benchmark in benchmarks/[a-z]*.py; do $(BIN)/python $$benchmark || exit 1; done

# 200 kills over a stream of many cells, with outages of broker and database between them; 15 minutes at most
chaos: .venv/.installed-dev services
	$(BIN)/python -m tests.service.chaos $(ARGS)

# An hour of 200 cells at 60 times their pace beside faults; fails where memory grows by 1 MB an hour
soak: .venv/.installed-dev services
	$(BIN)/python -m tests.service.soak $(ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@found=$$(mktemp); trap 'rm -f '$$found EXIT; \
	$(BIN)/pip-audit --skip-editable --progress-spinner off --output $$found && exit 0; \
	test -s $$found || { echo "audit: not done (no network?)"; exit 0; }; cat $$found; exit 1

# What the service tests talk to. Installed where that is permitted; elsewhere named, and those tests are skipped.
services:
	@missing=$$($(MAKE) -s list-missing); test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else exit 0; fi; \
	echo "installing$$missing"; \
	$$sudo apt-get update -qq && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null || true

.PHONY: list-missing missing-services
list-missing:
	@for p in $(DEBIAN_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || printf ' %s' $$p; done

missing-services:
	@missing=$$($(MAKE) -s list-missing); test -z "$$missing" || \
		echo "skipped for want of Debian packages:$$missing   mend: sudo apt-get install$$missing"

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Everything a newcomer needs: `make demo` and `make test`, on a machine with Python 3.11+, make and git.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests write small databases, thousands of them, and wait for the disk at each commit: where there is a disk of memory they use it.
MEMORY := $(firstword $(wildcard /dev/shm) $(TMPDIR) /tmp)

.PHONY: demo test test-fast lint bench eval interop pictures lock confusables words wheel clean

demo: .venv/run  ## a hijack, caught, within a minute
	$(BIN)/hijack-monitor demo

# Twice as many as there are cores: half of the tests wait for real processes and sockets.
test: .venv/dev  ## every test, the kill test included
	TMPDIR=$(MEMORY) $(BIN)/python -m pytest -n 4 --dist worksteal -m "not interop"

test-fast: .venv/dev  ## without real processes and real time
	TMPDIR=$(MEMORY) $(BIN)/python -m pytest -n 4 --dist worksteal -m "not slow and not interop"

interop: .venv/dev tests/interop/node_modules  ## checked from outside: Slack's own clients and types, emulate, X's descriptions served by Prism, a real Alertmanager, a clock that is set
	command -v prometheus-alertmanager >/dev/null && command -v faketime >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends prometheus-alertmanager faketime >/dev/null; }
	$(BIN)/python -m pytest -m interop tests/interop

tests/interop/node_modules: tests/interop/package-lock.json
	cd tests/interop && npm ci --silent
	touch $@

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/dev  ## speed, ours and what one would write instead, in one run
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench_daemon
	$(BIN)/python -m tests.bench_scale
	$(BIN)/python -m tests.bench_years

eval: .venv/dev  ## how well posts are told apart, on ../shared/data if present
	$(BIN)/python -m tests.evaluate

pictures: .venv/dev  ## what Slack shows, state by state; needs Chromium
	$(BIN)/python -m tests.pictures

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# hatchling and editables stand in the locked files, so nothing unlocked is ever fetched.
.venv/run: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/dev: requirements-dev.lock .venv/run
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	touch $@

lock: .venv/bin/python  ## after changing dependencies
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes --no-header --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra build --extra dev --universal --python-version 3.11 --generate-hashes --no-header --quiet -c requirements.lock -o requirements-dev.lock

confusables: .venv/dev  ## FROM=confusables.txt, when Unicode publishes another
	$(BIN)/python tests/make_confusables.py $(FROM)

words: .venv/dev  ## FROM=/usr/share where Debian's package scowl is unpacked
	$(BIN)/python -m tests.make_words $(FROM)

wheel: .venv/dev
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf .venv dist build tests/interop/node_modules .mypy_cache .ruff_cache .hypothesis

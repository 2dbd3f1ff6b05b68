# make up: start everything. make test: the whole suite. Nothing but Python 3.11 or newer is needed.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3.14 python3; do \
	command -v $$python >/dev/null 2>&1 && $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
PIP = .venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes

# More than there are cores: many tests wait for what others of their processes do.
WORKERS = $(shell .venv/bin/python -c 'import os; print(max(2, min(8, (os.cpu_count() or 2) * 2)))')

# Else every process that a test starts compiles the program anew, on machines where Python is told not to keep what it compiled.
export PYTHONDONTWRITEBYTECODE =

.PHONY: up demo test test-long check soak soak-model races crashes fuzz bench grow messages conformance referees failover node lnbits wheel lock clean
.DEFAULT_GOAL := up

up: .venv/ready ## start Gatehouse on http://localhost:8000 with an embedded Postgres
	@.venv/bin/gatehouse up

demo: .venv/ready ## the whole conversation of a client, printed
	@.venv/bin/gatehouse demo

test: .venv/ready-dev check ## every test: real Postgres, real sockets, real browser where Chromium is installed
	.venv/bin/python -m pytest -n $(WORKERS) --dist worksteal

test-long: .venv/ready-dev ## the rest: databases in trouble, processes killed at every step, clocks, rolling restarts, most pages in a browser
	.venv/bin/python -m pytest -n $(WORKERS) --dist worksteal -m long

check: .venv/ready-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

soak: .venv/ready-dev ## MINUTES=60: a server under steady load of everything it does; nothing of it may grow
	.venv/bin/python -m bench.soak --minutes $(or $(MINUTES),60)

soak-model: .venv/ready-dev ## WALKS=2000: what apps, people and thieves do at two replicas, against a model, never the same twice
	MODEL_WALKS=$(or $(WALKS),2000) MODEL_SECONDS=86400 .venv/bin/python -m pytest -m long -s tests/staged/test_model.py

races: .venv/ready-dev ## COUNT=1000000 PAIRS=2: one proof at two replicas at once, and never two winners
	.venv/bin/python -m tests.staged.races $(or $(COUNT),1000000) $(or $(PAIRS),2)

crashes: .venv/ready-dev ## the process dies at every single step of every deed, not only at those that change something
	STAGED_EVERY_STEP=1 .venv/bin/python -m pytest -m long tests/staged/test_crash_points.py

fuzz: .venv/ready-dev ## EXAMPLES=300 for every operation of the API and every parser, never the same twice
	FUZZ_EXAMPLES=$(or $(EXAMPLES),300) .venv/bin/python -m pytest --timeout 86400 tests/staged/test_openapi.py tests/staged/test_parsers.py

bench: .venv/ready-dev ## CPU microseconds per request, start-up, memory
	.venv/bin/python -m bench

grow: .venv/ready-dev ## how it grows: 1, 2, 4 workers; ROWS=1000000 in the tables; STREAMS=10000 open (docs/scale.md)
	.venv/bin/python -m bench.grow --rows $(or $(ROWS),1000000) --streams $(or $(STREAMS),10000)

conformance: node ## the MCP project's conformance suite against real servers, each scenario with its result
	.venv/bin/python -m tests.referees.conformance

referees: node lnbits ## other people's clients drive a real server: the MCP SDKs in Python and TypeScript, mcp-remote, Authlib, LNbits, payers
	.venv/bin/python -m pytest -v -rs tests/referees

node: .venv/ready-dev ## Node.js 22 and what runs on it, by hashes, for the two above; needs npm
	@.venv/bin/python -m tests.referees.nodejs
	-@.venv/bin/python -m tests.referees.paying.installed
	@.venv/bin/python -m tests.referees.python

lnbits: .venv/ready-dev ## LNbits in a virtual environment of its own, a Lightning node for the referees
	-@.venv/bin/python -m tests.referees.lnbits

failover: .venv/ready-dev ## two Postgres under Patroni behind HAProxy, the primary killed under load; needs Debian's packages
	.venv/bin/python -m pytest -v -s tests/trouble/failover.py

messages: .venv/ready-dev ## after a change of words: collect them, bring app/locales up to date, compile, say what is missing
	.venv/bin/python -m tests.catalog

wheel: .venv/ready-dev ## dist/gatehouse_mcp-*.whl
	.venv/bin/python -m build --wheel --no-isolation

lock: ## after a change of pyproject.toml; needs uv
	uv pip compile pyproject.toml $(LOCKED) -o requirements.lock
	uv pip compile pyproject.toml --group dev -c requirements.lock $(LOCKED) -o requirements-dev.lock

LOCKED = --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q

clean:
	rm -rf .venv .venv-referees .venv-paying dist build .pytest_cache .mypy_cache .ruff_cache tests/referees/node/node_modules tests/referees/paying/node_modules .lnbits

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Gatehouse needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python3." >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python cannot make a virtual environment here; on Debian: apt-get install python3-venv" >&2; exit 2; }

.venv/ready: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing what requirements.lock names (once)"
	@$(PIP) -r requirements.lock || { echo "A dependency has no build for this platform; see the README: Without the embedded Postgres." >&2; exit 1; }
	@sh deploy/link-command .venv
	@touch $@

.venv/ready-dev: requirements-dev.lock .venv/ready
	@$(PIP) -r requirements-dev.lock
	@touch $@

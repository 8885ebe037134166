# Needs Python 3.11 or newer and make; everything else is put into .venv by the first target that wants it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python that is new enough; `make PYTHON=...` names another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
# A file of versions to install instead of the newest ones; give it a VENV of its own.
CONSTRAINTS ?=
BIN := $(VENV)/bin
START := $(VENV)/.start
READY := $(VENV)/.ready
# Packages are compiled when they are first imported. Where that may not be kept every `alembic` that a test starts
# compiles SQLAlchemy anew, which takes a second or two.
export PYTHONDONTWRITEBYTECODE :=
install = $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --editable '.[$(1)]' \
	$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) && touch $@

.PHONY: help demo test webhook faults mutation lint format bench docs wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

demo: $(START) ## watch a duplicated contacts table come out unique, and go back
	@$(BIN)/python -m demo

test: $(READY) ## run the whole suite; ARGS="-k name" for a part of it, POSTGRES=16 for that version
	@$(if $(POSTGRES),binaries=$$($(BIN)/python -m sandbox.server_majors $(POSTGRES)) && export POSTGRES_BIN="$$binaries" TEST_SERVER=embedded &&) \
		$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

webhook: $(READY) ## start the example service, on a throwaway server unless DATABASE_URL names a database
	@$(BIN)/python -m examples.webhook $(ARGS)

faults: $(READY) ## strike upgrades and downgrades under load, SEEDS=200 times
	@$(BIN)/python -m tests.faults --seeds $(or $(SEEDS),25) $(ARGS)

mutation: $(READY) ## break the engine in small ways, SAMPLE=120 of them, and count how many the tests notice; takes hours
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[mutation]'
	@$(BIN)/python -m sandbox.mutation --sample $(or $(SAMPLE),120) $(ARGS)

lint: $(READY) ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## put the code into the house's form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(READY) ## measure the upgrade under load; ARGS go to the benchmark
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY) ## write docs/statements.md anew, from what a server is sent
	@$(BIN)/python -m sandbox.statements

wheel: $(READY) ## build dist/*.whl
	@rm -rf dist
	@log=$$($(BIN)/python -m build . 2>&1) || { echo "$$log"; exit 1; }
	@ls dist

clean: ## remove what the other targets made
	rm -rf .venv .venv-* .servers dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# In two steps, so that the demo need not wait for what the tests and the checks want.
$(START): pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "There is no Python 3.11 or newer on PATH; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments;" \
		"on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, about a quarter of a minute) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(call install,demo)

$(READY): $(START)
	@echo "Adding to $(VENV) what the tests and checks want (once, about half a minute) ..."
	@$(call install,dev)

# Stopkeeper's targets. `make help` lists them and the variables.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
ROUNDS ?= 20
TESTERS ?= 3
SEEDS  ?= 0:1000
MINUTES ?= 10
TRADES ?= 3000
SEED   ?= 1
BATCH  ?=
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check cover lock bench audit simulate chaos mutate soak clean bench-supervision bench-naked

help:
	@echo "make install   a virtual environment in $(VENV), versions and hashes as locked (seconds the second time)"
	@echo "make demo      a minute on paper: everything that may go wrong does, and the venue's witness reports"
	@echo "make test      the whole test suite; two of the nine faults are put back beside it (AUDIT_SEED)"
	@echo "make check     lint, format, types, import layers, unit tests"
	@echo "make cover     branches of the core that no unit test takes: there may be none"
	@echo "make bench     what the engine costs and how fast it is"
	@echo "make bench-supervision   naked time, breach to flat, a thousand stop moves, requests at rest (half an hour)"
	@echo "make bench-naked         naked time of each class of faults, by the venue's witness (twenty minutes; ARGS=--docs)"
	@echo "make lock      write requirements.txt and requirements-dev.txt anew from pyproject.toml"
	@echo "make clean     remove what was built; the data directory and the configuration stay"
	@echo "make chaos     real workers die and freeze at every named point, then MINUTES of random kills and faults"
	@echo "make audit     the nine faults put back one by one: each must be caught, and fixed without it (ARGS='4 9': those)"
	@echo "make simulate  the engine in worlds where all goes wrong, by seeds; ARGS='--plant all' breaks rules on purpose"
	@echo "make soak      TRADES trades of all kinds on real processes: nothing in Redis grows with them but the ledger"
	@echo "make mutate    small changes to the core, one at a time: each must make a unit test fail (ARGS='engine': the engine,"
	@echo "               by the simulation; ARGS='core guard': that module); BATCH minutes, the next run goes on from there"
	@echo
	@echo "variables (make NAME=value target):"
	@echo "  PYTHON=$(PYTHON)   the interpreter the environment is made with, 3.11 or newer"
	@echo "  VENV=$(VENV)        where the environment is"
	@echo "  TESTERS=$(TESTERS)         processes that make test runs its tests in; 0 = in one, in their order"
	@echo "  ROUNDS=$(ROUNDS)         entries of each kind that make bench times"
	@echo "  SEEDS=$(SEEDS)      START:COUNT of make simulate; a seed replays exactly"
	@echo "  MINUTES=$(MINUTES)        of random load in make chaos, after the quarter of an hour that its points take"
	@echo "  SEED=$(SEED)            what make chaos draws its order by"
	@echo "  TRADES=$(TRADES)      of make soak (half an hour)"
	@echo "  BATCH=$(BATCH)           minutes of make mutate; none = until it is through"
	@echo "  ARGS=            further arguments: make test ARGS='-k console -x', make demo ARGS='--seed 3'"

install: $(STAMP)

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: make PYTHON=python3.12 install" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: install
	$(BIN)/stopkeeper demo $(ARGS)

test: install
	$(BIN)/python -m pytest --numprocesses $(TESTERS) $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .
	$(BIN)/python -m pytest -q --numprocesses 2 tests/unit $(ARGS)

cover: install
	$(BIN)/coverage run -m pytest -q tests/unit/core
	$(BIN)/coverage report --include='stopkeeper/core/*' --skip-covered --fail-under=100

bench: install
	ROUNDS=$(ROUNDS) $(BIN)/python -m benchmarks $(ARGS)

bench-supervision: install
	$(BIN)/python -m benchmarks.supervision $(ARGS)

bench-naked: install
	$(BIN)/python -m benchmarks.naked $(ARGS)

lock: install
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --extra dev \
		pyproject.toml -o requirements-dev.txt

chaos: install
	$(BIN)/python -m tests.chaos --seed $(SEED) --minutes $(MINUTES) $(ARGS)

simulate: install
	$(BIN)/python -m tests.simulation $(SEEDS) $(ARGS)

audit: install
	$(BIN)/python -m tests.audit $(ARGS)

soak: install
	$(BIN)/python -m benchmarks.soak --trades $(TRADES) $(ARGS)

mutate: install
	$(BIN)/python -m tests.mutation $(if $(BATCH),--minutes $(BATCH)) $(or $(ARGS),core)

clean:
	rm -rf $(VENV) build dist ./*.egg-info htmlcov .coverage .coverage.* demo-data
	rm -rf .mutation .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Two commands matter: `make run` and `make test`. Both set everything up first. `make engines` adds the heavy voices.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
ENGINES := $(VENV)/.engines

.PHONY: run test setup engines scenes bench soak lock clean doctor

run: setup
	@$(BIN)/python -m peer serve $(ARGS)

test: setup
	@if [ '$(ARGS)' ]; then exec $(BIN)/python -m pytest $(ARGS); fi; \
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not alone'; shared=$$?; \
	$(BIN)/python -m pytest -m alone; alone=$$?; exit $$((shared | alone))

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Synchrony needs Python 3.11 or newer; yours is %s. Say which one with: make $(MAKECMDGOALS) PYTHON=python3.11" % sys.version.split()[0])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make a virtual environment. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null 2>&1 || echo "Note: no C compiler found. Where a wheel is missing for your machine, pip will ask for one: sudo apt-get install build-essential python3-dev" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) from requirements.lock (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@touch $(STAMP)

# Every engine's libraries, llama.cpp compiled once; see tools/engines.py for TORCH_INDEX, GPU and LLAMA.
engines: setup
	@if [ "$(TORCH_INDEX)$(GPU)$(LLAMA)" ] || [ ! $(ENGINES) -nt engines.lock ] || [ ! $(ENGINES) -nt tools/engines.py ]; \
	then $(BIN)/python tools/engines.py && touch $(ENGINES); fi
	@$(BIN)/python -m peer voices

scenes: setup
	@$(BIN)/python -m SCENES $(ARGS)

bench: setup
	@$(BIN)/python -m bench $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)

soak: setup
	@$(BIN)/python -m bench soak $(ARGS)

doctor: setup
	@$(BIN)/python -m peer doctor

# Names and versions only, from a fresh environment with the ranges of pyproject.toml.
lock:
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python tools/lock.py > requirements.lock.new
	@mv requirements.lock.new requirements.lock
	@.venv-lock/bin/python tools/lock.py engines > engines.lock.new
	@mv engines.lock.new engines.lock && rm -rf .venv-lock

clean:
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis SCENES/_artifacts

# `make help` lists what there is to do.
PYTHON ?= python3
CT ?=
OUT ?= screened
MODEL ?= Resources/Models/compact
BIN := .venv/bin
MARK = $(BIN)/.installed-

.DEFAULT_GOAL := help
.PHONY: help screen test test-all lint bench clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "M3LungScreen needs Python 3.11 to 3.13; set PYTHON=/path/to/one"; exit 2; }
	$(PYTHON) -m venv .venv

$(MARK)%: requirements/%.txt requirements/runtime.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

screen: $(MARK)runtime ## screen a CT: make screen [CT=path] [OUT=folder] [MODEL=bundle]
ifeq ($(CT),)
	@mkdir -p build
	$(BIN)/python -m M3LungScreenLib simulate --class covid19 --seed 1 -o build/simulated-covid19.nrrd
endif
	$(BIN)/python -m M3LungScreenLib screen "$(or $(CT),build/simulated-covid19.nrrd)" -o "$(OUT)" --model "$(MODEL)"

test: $(MARK)test ## the tests (under 15 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(MARK)test ## all tests, the slow ones too
	$(BIN)/python -m pytest -n 2

lint: $(MARK)test ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(MARK)test ## benchmarks: ratios and seconds, printed
	$(BIN)/python Testing/benchmarks/screening.py

clean: ## remove what make made
	rm -rf .venv build

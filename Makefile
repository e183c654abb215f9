# Two commands matter: `make demo` shows the product, `make test` checks it.
# Both install what they need into .venv, once; nothing outside this folder is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.ready-to-run
TEST_READY := $(VENV)/.ready-to-test
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
PACKAGES := engine/flowdeck store/flowdeck_store app/flowdeck_app
SOURCES := engine store app tests examples docs benchmarks
WORKERS ?= 2
# What `make test` leaves out: tests that wait minutes for timeouts of Ray's and Dask's.
CHOSEN ?= -m 'not long'
DEMO_HOME := $(CURDIR)/.demo
# Hundreds of processes import flowdeck in the tests: it is compiled once, whatever the caller's habit.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all check format docs-screens bench pins clean

help:
	@echo "make demo          install, run the census example, show what was recorded"
	@echo "make test          install, check the code, run the tests"
	@echo "make test-all      those too that take minutes each"
	@echo "make check         ruff, mypy --strict, import direction"
	@echo "make format        let ruff put the code in shape"
	@echo "make bench         every benchmark, with the budgets of the design"
	@echo "make docs-screens  draw the pictures in docs/images again"
	@echo "make pins          write the installed versions to constraints.txt"
	@echo "make clean         remove what these commands made"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "flowdeck needs Python 3.11 or newer; $(PYTHON) is older or missing." \
	       "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@echo "Creating $(VENV) ..."
	@# Some systems ship a Python whose venv cannot bring pip along; then its own pip does.
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

$(RUN_READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing flowdeck into $(VENV) ..."
	@$(INSTALL) -e .
	@touch $@

$(TEST_READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing flowdeck with Dask, Ray and the development tools into $(VENV) ..."
	@$(INSTALL) -e '.[all,dev]'
	@touch $(RUN_READY) $@

demo: $(RUN_READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" FLOWDECK_HOME="$(DEMO_HOME)" sh examples/demo.sh

check: $(TEST_READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m pytest -q --no-header tests/test_repository.py -k "import"

# One worker a core (make test WORKERS=3: one more); the tests of a file stay together, since they
# share clusters and snapshots; the files that take longest come first.
test: check
	@# What fails while the workers share the machine gets one more try, alone: a deadline that was
	@# missed because of the neighbour is no defect, anything else fails again.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(CHOSEN) || \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(CHOSEN)

test-all:
	$(MAKE) test CHOSEN=

format: $(TEST_READY)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(TEST_READY)
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/store_events.py
	for engine in dask ray ray-client; do $(BIN)/python benchmarks/clusters.py --engine $$engine; done
	$(BIN)/python benchmarks/app.py

docs-screens: $(TEST_READY)
	$(BIN)/python docs/screens.py
	$(BIN)/python docs/app_screens.py

pins: $(TEST_READY)
	$(BIN)/python -m pip list --format=freeze --exclude-editable \
	  --exclude pip --exclude setuptools --exclude wheel > constraints.txt

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

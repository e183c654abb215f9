# Two commands matter: `make demo` shows the product, `make test` checks it.
# Both install what they need into .venv, once; nothing outside this folder is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.ready-to-run
TEST_READY := $(VENV)/.ready-to-test
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
PACKAGES := engine/flowdeck engine/flowdeck_pytest store/flowdeck_store app/flowdeck_app
SOURCES := engine store app tests examples docs benchmarks versions
WORKERS ?= 3
# What `make test` leaves out: tests that wait minutes for timeouts of Ray's and Dask's.
CHOSEN ?= -m 'not long'
# What `make test-lowest` runs: per library the tests that use the most of it, see below.
LOWEST_TESTS := \
  tests/engine/parameters tests/engine/definitions tests/engine/values tests/engine/threads \
  tests/store/file tests/app/cli/test_cli_root.py tests/app/cli/test_cli_addresses.py \
  tests/app/shell/test_app_shell.py tests/app/screens/test_launch_form.py \
  tests/end_to_end/test_serve.py \
  tests/engine/task_runners/test_dask_mistakes.py tests/engine/task_runners/test_dask_runner.py \
  tests/engine/task_runners/test_ray_mistakes.py tests/engine/task_runners/test_ray_runner.py
LOWEST := .venv-lowest
DEMO_HOME := $(CURDIR)/.demo
# Hundreds of processes import flowdeck in the tests: it is compiled once, whatever the caller's habit.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all test-lowest test-packages check format docs docs-screens bench torture pins clean

help:
	@echo "make demo          install, run the census example, show what was recorded"
	@echo "make test          install, check the code, run the tests"
	@echo "make test-all      those too that take minutes each"
	@echo "make test-lowest   the lowest versions that pyproject.toml allows (CHOSEN=tests: every test)"
	@echo "make test-packages wheel and sdist, built and installed into empty environments"
	@echo "make check         ruff, mypy --strict, pyright on signatures, import-linter"
	@echo "make format        let ruff put the code in shape"
	@echo "make bench         every benchmark, with the budgets of the design"
	@echo "make torture       ten minutes of kills, locks, full disks, cancels; then every invariant"
	@echo "make docs          the documentation as a site, in build/site"
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
	@unset VIRTUAL_ENV CONDA_PREFIX; \
	  PATH="$(CURDIR)/$(BIN):$$PATH" FLOWDECK_HOME="$(DEMO_HOME)" sh examples/demo.sh

check: $(TEST_READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/signatures.py
	$(BIN)/basedpyright --project tests/typing/pyrightconfig.json
	$(BIN)/lint-imports --no-logo --no-cache

# One worker more than two cores: much of what is tested waits for processes, clusters and clocks. The
# tests of a file stay together, since they share clusters and snapshots; the longest files come first.
test: check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(CHOSEN)

test-all:
	$(MAKE) test CHOSEN=

# In an environment of its own. pydantic: parameters; coolname, platformdirs: definitions; cloudpickle:
# values; anyio: threads; sqlite-utils: store/file; click: cli; textual, rich: shell, launch form;
# textual-serve: serve; distributed and ray: their runners. Pictures of the app are left out, they
# are of the pinned versions. CHOSEN=tests runs all. Ray 2.53 warns where it connects, of itself.
test-lowest: $(LOWEST)/.ready
	$(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  -W 'ignore:Tip:FutureWarning' -m 'not long' \
	  $(if $(filter command line,$(origin CHOSEN)),$(CHOSEN),$(LOWEST_TESTS))

$(LOWEST)/.ready: pyproject.toml constraints.txt versions/lowest.py
	@echo "Installing the lowest versions into $(LOWEST) ..."
	@$(PYTHON) -m venv --clear --without-pip $(LOWEST)
	@$(PYTHON) versions/lowest.py > $(LOWEST)/lowest.txt
	@$(PYTHON) -m pip --disable-pip-version-check --python $(LOWEST)/bin/python install --quiet \
	  -r $(LOWEST)/lowest.txt -e .
	@touch $@

test-packages: $(TEST_READY)
	$(BIN)/python -m pytest tests/end_to_end/test_packages.py

format: $(TEST_READY)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(TEST_READY)
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/submit.py
	$(BIN)/python benchmarks/long_process.py
	$(BIN)/python benchmarks/store_events.py
	for engine in dask ray ray-client process; do $(BIN)/python benchmarks/clusters.py --engine $$engine; done
	$(BIN)/python benchmarks/app.py

torture: $(TEST_READY)
	$(BIN)/python tests/torture/run_torture.py

docs: $(TEST_READY)
	@$(INSTALL) -e '.[docs]'
	$(BIN)/python docs/site/build.py

docs-screens: $(TEST_READY)
	$(BIN)/python docs/screens.py
	$(BIN)/python docs/app_screens.py
	@# What one of the runs of the gallery computes with; nothing else here needs it.
	@$(INSTALL) numpy
	$(BIN)/python docs/gallery.py

pins: $(TEST_READY)
	$(BIN)/python -m pip list --format=freeze --exclude-editable \
	  --exclude pip --exclude setuptools --exclude wheel > constraints.txt

clean:
	rm -rf $(VENV) $(LOWEST) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

# make setup | demo | test | lint | colcon | clean. Variables can be given on the command line:
#   make setup PYTHON=python3.12 TORCH=torch==2.13.0 PIP_ARGS="--extra-index-url URL"
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
PIP_ARGS ?=
EXTRAS ?= demo,train,dev
OUT ?= runs/demo
SHELL := /bin/bash

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
INSTALL := $(PIP) install --prefer-binary -c constraints.txt $(PIP_ARGS)
BUILD_REQUIRES := build/build-requires.txt
DEPENDENCIES := setup.py pyproject.toml constraints.txt $(wildcard requirements/*.txt)
SOURCES := CMakeLists.txt package.xml $(shell find action cmake config launch msg srv vision_llm_ros -type f -not -name '*.pyc')
COLCON := build/colcon
# A Python started from a process that runs on the ROS wheels must not inherit their library path.
CLEAN_ENV := env -u _ROS_WHEELS_BOOTSTRAP_COMPLETE -u LD_LIBRARY_PATH -u PYTHONPATH

.PHONY: setup demo test lint colcon clean FORCE

setup: $(VENV)/.installed

$(VENV)/.system:
	@bash cmake/system_packages.sh
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

$(BUILD_REQUIRES): pyproject.toml $(VENV)/.system
	@mkdir -p $(@D)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $@

# Without build isolation pip builds against what is installed, and an unchanged message is not compiled again.
$(VENV)/.dependencies: $(DEPENDENCIES) $(BUILD_REQUIRES)
	$(INSTALL) -r $(BUILD_REQUIRES) -r requirements/ros-jazzy.txt "$(TORCH)"
	rm -rf build/lib* build/bdist*
	$(INSTALL) --no-build-isolation ".[$(EXTRAS)]"
	$(INSTALL) --no-deps -r requirements/carriers.txt -r requirements/metrics.txt
	@touch $@

# Changes when a file comes or goes, which the times of the files that stay do not show.
$(VENV)/.sources: FORCE $(VENV)/.system
	@printf '%s\n' $(sort $(SOURCES)) | cmp -s - $@ || printf '%s\n' $(sort $(SOURCES)) > $@

$(VENV)/.installed: $(SOURCES) $(VENV)/.sources $(VENV)/.dependencies
	@# The dependencies' step has just installed the package as well, unless something is newer.
	@if [ -n "$$(find $(SOURCES) $(VENV)/.sources -newer $(VENV)/.dependencies -print -quit)" ]; then \
	  rm -rf build/lib* build/bdist*; echo "installing the changed package"; \
	  $(INSTALL) --no-build-isolation --no-deps .; fi
	@touch $@

demo: setup
	$(BIN)/vision-llm demo --out $(OUT)

test: setup
	$(BIN)/python -m pytest -m "not slow and not gpu"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pip copy of the package and the colcon copy must not meet in one process (the libraries of
# one would serve the other), so this build has an environment of its own, without the pip copy.
$(COLCON)/venv/.ready: requirements/colcon.txt requirements/ros-jazzy.txt $(BUILD_REQUIRES)
	@test -x $(COLCON)/venv/bin/python || $(CLEAN_ENV) $(PYTHON) -m venv $(COLCON)/venv
	$(CLEAN_ENV) $(COLCON)/venv/bin/python -m pip --disable-pip-version-check -q install --prefer-binary -c constraints.txt \
	  $(PIP_ARGS) -r $(BUILD_REQUIRES) -r requirements/colcon.txt -r requirements/ros-jazzy.txt pyyaml opencv-python pillow
	@touch $@

colcon: $(COLCON)/venv/.ready
	$(CLEAN_ENV) bash -c '. $(COLCON)/venv/bin/activate && colcon --log-base $(COLCON)/log build --base-paths . \
	  --build-base $(COLCON)/build --install-base $(COLCON)/install --event-handlers console_direct- \
	  --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE=$$VIRTUAL_ENV/bin/python'
	$(CLEAN_ENV) bash -c '. $(COLCON)/venv/bin/activate && . $(COLCON)/install/setup.bash && cd / && \
	  python $(CURDIR)/test/check_install.py $(CURDIR)/$(COLCON)/install/vision_llm_ros'

clean:
	rm -rf build install log *.egg-info

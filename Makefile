# What is done by hand more than once. Wants Python >= 3.11, git and make, nothing else; `make help` lists the targets.
#
# The environment is .venv, made from hash-locked requirements. The files .venv/.core and .venv/.dev stamp what has been
# installed, so a second `make run` starts at once and a changed lock is installed again.

# What may be given: make run PORT=9080 ADMIN_PORT=9081 DATA=/some/dir. The ports are not taken from the environment,
# where a PORT often means something else.
PORT =
ADMIN_PORT =
DATA = $(or $(GATEWAY_DATA),data)
ARGS =
PEERS =

VENV = .venv
BIN = $(VENV)/bin
UV = $(BIN)/uv --quiet
# trust what pip trusts: the authorities of the system, not only those that uv brings along
export UV_SYSTEM_CERTS = true
INSTALL = $(UV) pip install --python $(BIN)/python --require-hashes
PYTEST = $(BIN)/python -m pytest
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
TORCH = 2.13.0

.DEFAULT_GOAL = help
.PHONY: help run install test test-slow test-clients semantic lint format bench crash lock clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS='|' read -r name text; do printf '%-20s %s\n' "$$name" "$$text"; done

run: $(VENV)/.core  ## serve on 127.0.0.1:8080, admin on 8081 [PORT= ADMIN_PORT= DATA= ARGS=]
	@GATEWAY_DATA="$(DATA)" exec $(BIN)/python -m gateway serve \
	  $(if $(PORT),--port $(PORT)) $(if $(ADMIN_PORT),--admin-port $(ADMIN_PORT)) $(ARGS)

install: $(VENV)/.core  ## build .venv, start nothing

test: $(VENV)/.dev  ## every test but the long ones; REQUIRE_SERVICES=1 makes a skip a failure [ARGS=]
	@$(PYTEST) -n 2 -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev  ## the long proofs [ARGS=]
	@$(PYTEST) -m slow $(ARGS)

test-clients: $(VENV)/.dev  ## the real clients and a real model server, in environments of their own
	@bash tests/clients/run.sh

lint: $(VENV)/.dev  ## linter, formatter, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict gateway tests loadtest
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## mend what the linter and the formatter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

crash: $(VENV)/.dev  ## kill gateways a thousand times, and hold the ledger against the provider's bill [ARGS=]
	@$(BIN)/python -m loadtest.kill_gateway $(ARGS)

bench: $(VENV)/.dev  ## measure against nginx and a plain Python proxy; PEERS=litellm adds LiteLLM [ARGS=]
	@$(BIN)/python -m loadtest.bench $(if $(PEERS),--peers $(PEERS)) $(ARGS)

# Torch is in no lock: only a CPU wheel satisfies 2.13.0+cpu, and where none is to be had the plain one must do, which
# on Linux brings its CUDA libraries along. What torch needs is locked, hence --no-deps in the first try.
semantic: $(VENV)/.core  ## add torch (CPU) and sentence-transformers, for parts that are still to come
	@$(BIN)/python -c 'import torch' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --no-deps "torch==$(TORCH)+cpu" 2>/dev/null \
	  || { echo "There is no wheel of torch $(TORCH)+cpu to be had here: installing plain torch $(TORCH)."; \
	       $(BIN)/python -m pip install --quiet "torch==$(TORCH)"; }
	@$(INSTALL) --no-deps -r requirements-semantic.lock
	@rm -f $(VENV)/lib/python*/site-packages/distutils-precedence.pth  # of setuptools, which torch asks for
	@$(BIN)/python -c 'import sentence_transformers as s, torch; print("torch", torch.__version__, "and sentence-transformers", s.__version__, "are there; nothing uses them yet.")'

# uv.lock itself is not kept: it names the host of every file. The exported locks name versions and hashes only.
lock: $(BIN)/uv  ## resolve again, after a change in pyproject.toml
	$(UV) lock
	$(UV) export --no-emit-project --no-dev --no-header --format requirements-txt --output-file requirements.lock
	$(UV) export --no-emit-project --no-header --format requirements-txt --output-file requirements-dev.lock
	$(LOCK) -c requirements-dev.lock requirements-semantic.in --output-file requirements-semantic.lock
	$(LOCK) requirements-uv.in --output-file requirements-uv.lock

clean:  ## remove the environments and caches; data/ stays
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache node_modules dist
	find gateway loadtest tests -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/uv: requirements-uv.lock
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; python=; \
	done; \
	[ -n "$$python" ] || { echo "No Python >= 3.11 was found on the PATH." >&2; exit 1; }; \
	echo "Building $(VENV) (once; the lock's packages are fetched and their hashes checked)."; \
	$$python -m venv $(VENV) || { echo "Debian keeps venv apart: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/python -m pip uninstall -qq --yes setuptools  # Python 3.11's venv brings it, and it a .pth file
	@touch $@

$(VENV)/.core: $(BIN)/uv requirements.lock
	@$(INSTALL) -r requirements.lock
	@ln -sf ../../tools/gateway $(BIN)/gateway
	@touch $@

$(VENV)/.dev: $(VENV)/.core requirements-dev.lock
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

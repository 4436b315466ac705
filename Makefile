# Everything starts here. `make demo` and `make test` need Python >= 3.11 with venv and pip, make and git; the rest they set up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
DONE := $(VENV)/.done
ARGS ?=
CODE := src tests examples benchmarks docs

# pip's local wheel folders hold for uv too; pip parts them by spaces, uv by commas
empty :=
space := $(empty) $(empty)
comma := ,
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))
endif
export UV_PYTHON_DOWNLOADS ?= never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

step = @echo "==> $(1)"
# also where PYTHONDONTWRITEBYTECODE is set: without it each command and each instance would compile all that it imports
compiled = @$(BIN)/python -m compileall -q src
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup fmt lint types test test-e2e reliability mutations test-gpu bench docs demo check lock tools clean
.DEFAULT_GOAL := help

help: ## show these targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

# ---- the environment; each stamp is newer than what it was made from, so that a second run skips it

$(DONE)/venv:
	$(call step,making $(VENV) with $$($(PYTHON) --version))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Freehold needs Python >= 3.11; name one: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/uv: requirements/uv.txt | $(DONE)/venv
	$(call step,installing uv (hash-locked))
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	@touch $@

$(DONE)/base: requirements/base.txt pyproject.toml $(DONE)/uv
	$(call step,installing Freehold and what it needs (hash-locked))
	@$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/base.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(compiled)
	@touch $@

$(DONE)/dev: requirements/dev.txt $(DONE)/base
	$(call step,installing the tools of the tests (hash-locked))
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(DONE)/sample: requirements/sample.txt $(DONE)/uv
	$(call step,fetching a scanned page to read (scikit-image's page.png))
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/sample.txt
	@touch $@

# Programs that only tests use. As root on Debian they are installed; anywhere else the tests that want them skip and say why.
$(DONE)/tools: | $(DONE)/venv
	@sh tests/tools.sh
	@touch $@

setup: $(DONE)/dev ## make .venv with everything for working on Freehold

tools: $(DONE)/tools ## install Chromium, strace, bubblewrap and slirp4netns for the tests (Debian, as root)

# ---- checks

fmt: $(DONE)/dev ## format the code
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix-only .

lint: $(DONE)/dev ## ruff, its formatter, and the import contracts
	$(call step,ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check . | head -20; echo "run: make fmt"; exit 1; }
	$(call step,import contracts)
	@$(BIN)/lint-imports --no-logo

types: $(DONE)/dev $(DONE)/tools ## pyright, strict
	$(call step,types)
	@$(BIN)/basedpyright

test: $(DONE)/dev $(DONE)/tools ## all tests but those that need an accelerator
	$(compiled)
	$(call step,tests)
	@$(PYTEST) -m "not gpu" $(ARGS)

test-e2e: $(DONE)/dev $(DONE)/tools ## the real CLI, a real server, a real browser
	$(compiled)
	@$(PYTEST) tests/e2e $(ARGS)

reliability: $(DONE)/dev $(DONE)/tools ## the proofs of docs/concepts/guarantees.md at their full size (half an hour)
	$(compiled)
	@$(PYTEST) tests/e2e/reliability --full -rP --durations=0 $(ARGS)

mutations: $(DONE)/dev $(DONE)/tools ## take each guard out once, and see its test fail (ARGS="r1 s3" for some)
	@$(BIN)/python -m tests.mutations $(ARGS)

test-gpu: $(DONE)/dev ## tests that need an accelerator
	@$(PYTEST) -m gpu tests/gpu $(ARGS)

check: lint types docs-fresh test ## what CI runs

# ---- the rest

bench: $(DONE)/dev ## measure calls beside Ray, Celery and a bare pipe
	$(compiled)
	@$(BIN)/python -m benchmarks.calls $(ARGS)

demo: $(DONE)/base $(DONE)/sample ## read a scanned page with the OCR example on a server of your own
	$(compiled)
	@$(BIN)/python examples/ocr_service/demo.py

docs: $(DONE)/dev ## write the generated pages of docs/reference
	@$(BIN)/python docs/generate.py

.PHONY: docs-fresh
docs-fresh: $(DONE)/dev
	$(call step,generated docs are fresh)
	@$(BIN)/python docs/generate.py --check

LOCK = UV_FIND_LINKS= $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(ARGS)

lock: $(DONE)/uv ## lock requirements/ again (ARGS=--upgrade for newer versions)
	$(LOCK) pyproject.toml -o requirements/base.txt
	$(LOCK) pyproject.toml --group dev -c requirements/base.txt -o requirements/dev.txt
	$(LOCK) --group ocr -o requirements/ocr.txt
	$(LOCK) --group sample --no-deps -o requirements/sample.txt
	echo uv | $(LOCK) - -c requirements/base.txt -o requirements/uv.txt

clean: ## remove the environment and the caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache

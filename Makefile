# Every command of this project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

STEPS := fetch validate clean tune train evaluate promote
IMAGES := $(STEPS) airflow registry local
UV_VERSION := 0.13.9
UV := .tools/bin/uv
export UV_PYTHON := $(file < .python-version)
export UV_LINK_MODE ?= hardlink
export PYTHONUNBUFFERED := 1

help:  ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

$(UV):
	@python3 -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# An environment holds what requirements/<image>.txt says and nothing else, compiled: without bytecode a step imports for 8 s.
.envs/%/.installed: requirements/%.txt .python-version | $(UV)
	@echo "installing the environment of $*"
	@$(UV) venv --quiet --clear .envs/$*
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .envs/$* $<
	@touch $@

install: $(IMAGES:%=.envs/%/.installed)

run: install  ## start everything and take every batch through: SOURCE= SCALE= BATCHES= EXIT=1 GROUP= DAY=
	@.envs/local/bin/python -m local.stack

test: install .envs/dev/.installed  ## all tests
	.envs/dev/bin/python -m pytest -m "not faults"

faults: install .envs/dev/.installed  ## the long fault runs
	.envs/dev/bin/python -m pytest -m faults tests

lint: .envs/dev/.installed  ## ruff and mypy
	.envs/dev/bin/ruff check .
	.envs/dev/bin/ruff format --check .
	.envs/dev/bin/mypy steps dags local tests

lock: | $(UV)  ## resolve every image's versions together and write requirements/
	@$(UV) pip compile --quiet --no-header --no-annotate --group dev pyproject.toml -o requirements/dev.txt --generate-hashes $(LOCK_FLAGS)
	@for image in $(IMAGES); do \
	  $(UV) pip compile --quiet --no-header --no-annotate --group $$image pyproject.toml -c requirements/dev.txt -o requirements/$$image.txt --generate-hashes $(LOCK_FLAGS) ; done

bench: install .envs/dev/.installed  ## speeds beside their peers
	.envs/dev/bin/python -m tests.bench

ci: lint test  ## what CI runs

clean:  ## remove every environment and all local state
	rm -rf .envs .local .tools .mypy_cache .ruff_cache .pytest_cache

.PHONY: help install run test faults lint lock bench ci clean

# Every command of this project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

STEPS := fetch validate clean tune train evaluate promote
ENVIRONMENTS := $(STEPS) serving airflow registry local frontend
UV := .tools/bin/uv
CHART_TOOLS ?= .tools/go
helm_MODULE := helm.sh/helm/v4/cmd/helm@v4.2.4
versitygw_MODULE := github.com/versity/versitygw/cmd/versitygw@v1.7.0
kubeconform_MODULE := github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
# The Lua that Argo CD has inside, as a program.
glua_MODULE := github.com/yuin/gopher-lua/cmd/glua@v1.1.2
actionlint_MODULE := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
PROMETHEUS := .tools/prometheus
export UV_PYTHON := $(shell cat .python-version)
export UV_LINK_MODE ?= hardlink
export PYTHONUNBUFFERED := 1
export IMAGES TAG BUILDER BUILD_FLAGS

help:  ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

# Any Python 3 will do: uv finds the one of .python-version, or brings it. `python3` alone is not asked, since with
# pyenv it is one that refuses to start where that version is missing.
$(UV): requirements/uv.txt
	@for python in python3 python3.13 python3.14 python3.12 python3.11 python3.10 /usr/bin/python3; do \
	  if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then break; else python=; fi; done; \
	  if [ -z "$$python" ]; then echo "no Python 3 with its modules venv and ensurepip was found" >&2; exit 1; fi; \
	  echo "installing uv with $$("$$python" --version)" >&2; "$$python" -m venv --clear .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

# An environment holds what requirements/<image>.txt says and nothing else, compiled: without bytecode a step imports for 8 s.
.envs/%/.installed: requirements/%.txt .python-version | $(UV)
	@echo "installing the environment of $*" >&2
	@.envs/$*/bin/python -c '' 2>/dev/null || $(UV) venv --quiet --clear .envs/$*
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .envs/$* $<
	@touch $@

install: $(ENVIRONMENTS:%=.envs/%/.installed)

run: install  ## start everything, take every batch through: SOURCE= SCALE= BATCHES= EXIT=1 GROUP= DAY= TRIALS= PORT_…=
	@exec .envs/local/bin/python -m local.stack --end-with-parent

# In the order of their names: by the number of their tests, the files with few long ones came last, on one processor.
# Three at once on two processors, for a sixth of their time they wait for a server; with one thread each, since OpenMP's
# wait for each other by spinning.
test: install .envs/dev/.installed browser prometheus  ## all tests, or those of TESTS=
	OMP_NUM_THREADS=1 .envs/dev/bin/python -m pytest -m "not faults and not charts and not cluster" --numprocesses 3 \
	  --dist loadfile --no-loadscope-reorder $(TESTS)

# The page is tested in a real browser. Debian's is enough; elsewhere CHROMIUM= names the program of one.
browser:  ## install Chromium where there is none (as root, on Debian)
	@for program in "$${CHROMIUM:-}" chromium chromium-browser google-chrome-stable; do \
	  if [ -n "$$program" ] && command -v "$$program" >/dev/null; then exit 0; fi; done; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing Chromium"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	      --no-install-recommends chromium fonts-liberation >/dev/null; \
	  else echo "no Chromium was found: install it (Debian: apt-get install chromium), or name its program: CHROMIUM=…" >&2; \
	    exit 1; fi

# Dashboards and alert rules are tested with a real Prometheus. Debian's package is unpacked and not installed: installing
# it would start a service on port 9090 and bring a browser's worth of JavaScript.
prometheus:  ## unpack Debian's Prometheus where there is none
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null || [ -x $(PROMETHEUS)/usr/bin/promtool ]; \
	  then exit 0; fi; \
	  if ! command -v apt-get >/dev/null; then \
	    echo "no Prometheus was found: put the programs prometheus and promtool on PATH" >&2; exit 1; fi; \
	  echo "unpacking Prometheus"; if [ "$$(id -u)" = 0 ]; then apt-get update -qq; fi; \
	  folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; cd "$$folder"; \
	  apt-get download -qq -o APT::Sandbox::User=root prometheus; \
	  mkdir -p "$(abspath $(PROMETHEUS))"; dpkg-deb -x prometheus_*.deb "$(abspath $(PROMETHEUS))"

screenshots: install .envs/dev/.installed browser  ## pictures of every tab, in .screenshots
	.envs/dev/bin/python -m pytest -q tests/frontend/screenshots.py

faults: install .envs/dev/.installed  ## the long fault runs
	.envs/dev/bin/python -m pytest -m faults tests

lab: install .envs/dev/.installed  ## planted causes through the real steps, and the gate's honesty: right or wrong
	.envs/dev/bin/python -m tests.faults

lint: .envs/dev/.installed $(if $(LINT_ALL),$(CHART_TOOLS)/actionlint)  ## Python, workflows, Dockerfiles, shell: LINT_ALL=1 with Go
	.envs/dev/bin/ruff check .
	.envs/dev/bin/ruff format --check .
	.envs/dev/bin/mypy steps dags local serving frontend argocd tests .github
	.envs/dev/bin/zizmor --offline --pedantic --quiet .github
	.envs/dev/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.envs/dev/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	git grep -lzE '^#!.*sh$$' | xargs -0 --no-run-if-empty .envs/dev/bin/shellcheck
	git ls-files -z '*Dockerfile' | xargs -0 --no-run-if-empty .envs/dev/bin/hadolint
	@PATH="$(abspath $(CHART_TOOLS)):$(abspath .envs/dev/bin):$$PATH"; \
	if command -v actionlint; then actionlint; \
	else echo "WARNING: actionlint is not here, the workflows were NOT checked by it; make lint LINT_ALL=1 compiles it" >&2; fi

# Tools that only Go has; modules with their versions, compiled once.
$(CHART_TOOLS)/%:
	@command -v go >/dev/null || { echo "compiling $* needs Go (https://go.dev); or put $* into $(CHART_TOOLS)" >&2; exit 1; }
	@echo "compiling $* (minutes, once)"
	@CGO_ENABLED=0 GOBIN=$(abspath $(CHART_TOOLS)) go install -trimpath -ldflags '-s -w' $($*_MODULE)

audit: .envs/dev/.installed  ## known vulnerabilities of every locked version (asks PyPI)
	@failed=0; for locked in requirements/*.txt; do echo "$$locked"; \
	  .envs/dev/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r "$$locked" || failed=1; \
	done; exit "$$failed"

lock: | $(UV)  ## resolve every image's versions together and write requirements/
	@echo uv | $(UV) pip compile --quiet --no-header --no-annotate - -o requirements/uv.txt --generate-hashes $(LOCK_FLAGS)
	@$(UV) pip compile --quiet --no-header --no-annotate --group dev pyproject.toml -o requirements/dev.txt --generate-hashes $(LOCK_FLAGS)
	@for image in $(ENVIRONMENTS); do \
	  $(UV) pip compile --quiet --no-header --no-annotate --group $$image pyproject.toml -c requirements/dev.txt -o requirements/$$image.txt --generate-hashes $(LOCK_FLAGS) ; done
	@$(UV) pip compile --quiet --no-header --no-annotate --group official-airflow pyproject.toml -c requirements/dev.txt -o tests/cluster/images/airflow/requirements.txt --generate-hashes $(LOCK_FLAGS)

bench: install .envs/dev/.installed  ## speeds beside their peers: BENCH_SOURCE=
	.envs/dev/bin/python -m tests.bench

# In a cluster the load is a Job from the API's own image, made for once; it takes itself away ten minutes after its end.
ifdef CLUSTER
load: $(CHART_TOOLS)/helm  ## the API that runs, under a mix of requests: USERS= SECONDS= URL=, CLUSTER=1 for a Job there
	@$(CHART_TOOLS)/helm template load argocd/chart --namespace appraiser --values helm-values/serving.yaml \
	  --set serving.enabled=false,load.enabled=true $(if $(USERS),--set load.users=$(USERS)) \
	  $(if $(SECONDS),--set load.seconds=$(SECONDS)) $(if $(URL),--set-string load.url=$(URL)) $(LOAD_FLAGS) \
	  | kubectl --namespace appraiser replace --force --filename -
	@kubectl --namespace appraiser wait --for=condition=Ready --timeout=120s pod --selector batch.kubernetes.io/job-name=load
	@kubectl --namespace appraiser logs --follow job/load
	@kubectl --namespace appraiser wait --for=condition=Complete --timeout=30s job/load
else
load: .envs/dev/.installed
	@PYTHONPATH=. .envs/dev/bin/python -m tests.load
endif

charts: .envs/dev/.installed $(CHART_TOOLS)/helm $(CHART_TOOLS)/kubeconform $(CHART_TOOLS)/glua  ## every chart with our values: CHARTS=<folder of charts>
	PATH=$(abspath $(CHART_TOOLS)):$$PATH .envs/dev/bin/python -m pytest -m charts tests/argocd

secrets: .envs/local/.installed  ## Secrets for the cluster with fresh random values, to apply or to seal
	@.envs/local/bin/python -m local.cluster_secrets

images: .envs/local/.installed  ## build the images, try each out, print sizes: IMAGES= TAG= BUILDER= BUILD_FLAGS=
	@.envs/local/bin/python -m local.container_images

# A script with the verbs up, down, status, load-image and tools, or a kubeconfig; `make load` has another use for the name.
# CI does not ask KUBECONFIG: it may lead to a cluster that people work with.
CI_CLUSTER := $(or $(CLUSTER),$(wildcard ../shared/cluster/cluster.sh))
CLUSTER_TESTED := $(or $(CI_CLUSTER),$(KUBECONFIG))
CLUSTER_SECONDS ?= 3600

# Interrupted, and not killed, where it takes too long: so that it takes down what it made.
cluster-test: install .envs/dev/.installed  ## the whole system in a real cluster: CLUSTER=<script or kubeconfig> TAG= LOAD_IMAGE=
	@CLUSTER=$(CLUSTER_TESTED) PYTHONPATH=. timeout --foreground --signal=INT --kill-after=600 $(CLUSTER_SECONDS) \
	  .envs/dev/bin/python -m pytest -m cluster --capture=no --timeout=$(CLUSTER_SECONDS) $(TESTS) tests/cluster

ci: lint test  ## what CI runs: lint, test, and cluster-test where there is a cluster to have
	@if [ -n "$(CI_CLUSTER)" ]; then $(MAKE) cluster-test CLUSTER=$(CI_CLUSTER); else \
	  printf '\n%s\n' "WARNING: no cluster was given (CLUSTER=<script or kubeconfig>): the cluster tests did NOT run" >&2; fi

clean:  ## remove every environment and all local state
	@for lock in .local/*/lock; do if [ -e "$$lock" ] && command -v flock >/dev/null && ! flock --nonblock "$$lock" true; \
	  then echo "a run still uses $${lock%/lock}; stop it first" >&2; exit 1; fi; done
	rm -rf .charts .envs .local .screenshots .tools .mypy_cache .ruff_cache .pytest_cache

.PHONY: help install run test browser prometheus screenshots faults lab lint audit lock bench load charts secrets images cluster-test ci clean

# `make` or `make help` lists the commands.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
STAMP := $(VENV)/.complete
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# None of the tools reports to its maker, unless you say so.
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK ?= true
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export PYTHONUNBUFFERED := 1
export MLFLOW_DISABLE_TELEMETRY ?= true
# A thread for each of the two processes; a file's tests stay together, since they share what is costly to make.
TESTS := OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadscope
# Every stage is a process of its own; compiling its libraries anew each time would cost it ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test quick docs lint compose report mlflow prefect serve flow clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make run SET="dataset=market1501 prepare.root=/data/market1501"   runs with other settings'
	@echo '  make run SET="profile=smoke"                                     tries everything at toy size'

setup: $(STAMP) ## make .venv from requirements.lock, when missing or older than it

# The stamp is written last: an interrupted installation is begun again, never taken for done.
$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "setup: Python 3.11 or newer is needed; name one: make setup PYTHON=python3.12" >&2; exit 2; }
	@echo "setup: installing into $(VENV) (about 6 GB)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --quiet -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --quiet --no-deps -e .
	@echo 'export DO_NOT_TRACK="$${DO_NOT_TRACK:-true}" MLFLOW_DISABLE_TELEMETRY="$${MLFLOW_DISABLE_TELEMETRY:-true}"' \
		>> $(VENV)/bin/activate
	@touch $@

run: setup ## the whole study: what changed is redone, then the table (SET="..." changes settings)
	@python -m pipelines.run $(SET)
	@echo
	@echo "  report    open reports/index.html     (make report)"
	@echo "  MLflow    make mlflow                 then http://127.0.0.1:5000"
	@echo "  Prefect   make prefect                then http://127.0.0.1:4200; make flow runs the study there"

test: setup ## the test suite, two tests at a time
	@$(TESTS)

quick: setup ## the tests that need neither DVC, Prefect, a browser nor a training
	@$(TESTS) -m "not slow"

docs: setup ## the pages of docs/, into site/; fails where a link leads nowhere
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict
	@echo "docs: open site/index.html"

lint: setup ## ruff and mypy
	@ruff check reanchor stages pipelines tests benchmarks
	@mypy

compose: setup ## write params.yaml from conf/ (SET="..." as for run)
	@python -m stages.compose $(SET)

report: setup ## open the report in a browser
	@python -m webbrowser -t "file://$(CURDIR)/reports/index.html"

mlflow: setup ## MLflow on port 5000: the training runs
	@python -m stages.log_pending || true
	@mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db

prefect: setup ## Prefect on port 4200: the pipeline's runs
	@prefect server start

flow: setup ## the study as a Prefect flow
	@python -m pipelines.flow

serve: setup ## nightly and on-demand deployments of the flows
	@python -m pipelines.serve

clean: ## remove outputs and checkpoints; .venv, DVC's cache and MLflow's runs stay
	@rm -rf data/streetfolk data/prepared data/occluded
	@[ ! -d models ] || find models -mindepth 1 -maxdepth 1 -type d ! -name shipped -exec rm -rf {} +
	@[ ! -d .checkpoints ] || find .checkpoints/ -mindepth 1 -maxdepth 1 ! -name pending -exec rm -rf {} +

# `make up` and `make test` do all of their own set-up; `make help` lists what there is.
VENV := .venv
BIN := $(VENV)/bin
PIP_PACKAGES := $(VENV)/.packages
PIP_DEV_PACKAGES := $(VENV)/.packages-dev

KUBERAY := deploy/kuberay
MANIFESTS = $(filter-out %/kustomization.yaml,$(wildcard $(addprefix $(KUBERAY)/,$(addsuffix /*.yaml,base cluster service overlays/example))))

.DEFAULT_GOAL := help
.PHONY: help up down status demo demo-down venv venv-dev chromium test test-long check bench resources wrk
.PHONY: report report-page deliver nightly-drift audit sbom licences images release-files

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

up: venv ## set up, start every service, wait until all are healthy
	@$(BIN)/pilothouse up

down: ## stop everything that `make up` started, and nothing else
	@if [ -x $(BIN)/pilothouse ]; then $(BIN)/pilothouse down; else echo "Nothing was ever started here."; fi

status: ## show each service, its address and its health
	@if [ -x $(BIN)/pilothouse ]; then $(BIN)/pilothouse status; else echo "Not set up yet: run make up."; exit 1; fi

demo: venv ## a tour of the whole loop in an installation of its own, in less than ten minutes
	@$(BIN)/python -m demo

demo-down: ## end what the tour has left running, and remove it
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m demo --down; else echo "There is no tour to end."; fi

venv: $(PIP_PACKAGES) ## make .venv with the locked packages

venv-dev: $(PIP_DEV_PACKAGES)

# A stamp is newer than its lock file when the packages of that lock are installed.
$(PIP_PACKAGES): requirements.lock pyproject.toml scripts/bootstrap.sh
	@sh scripts/bootstrap.sh packages $(VENV) requirements.lock
	@touch $@

$(PIP_DEV_PACKAGES): requirements-dev.lock pyproject.toml scripts/bootstrap.sh
	@sh scripts/bootstrap.sh packages $(VENV) requirements-dev.lock
	@touch $@ $(PIP_PACKAGES)

chromium:
	@sh scripts/bootstrap.sh chromium

test: venv-dev chromium ## run the test suite
	@$(BIN)/python -m pytest -m "not long and not alone" -n auto --dist loadfile
	@$(BIN)/python -m pytest -m "not long and alone"

test-long: venv-dev chromium ## run the tests that need more time
	@$(BIN)/python -m pytest -m long

resources: venv ## write docs/resources.md anew from the recorded sweep
	@$(BIN)/python -m core.training.resources_page tests/unit/recorded/titanic_sweep.json docs/resources.md

report: venv-dev ## write docs/report.md and its PDF anew from real runs; minutes if the pipeline runs; DAYS=
	@$(BIN)/python -m reporting $(if $(DAYS),--days $(DAYS))

report-page: venv-dev ## write docs/report.md and its PDF from the figures of the last report; seconds
	@$(BIN)/python -m reporting --recorded

check: venv-dev ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(wildcard Dockerfile),$(BIN)/hadolint Dockerfile)
	$(if $(wildcard docker-compose.yml),$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml)
	$(if $(MANIFESTS),$(BIN)/check-jsonschema --schemafile $(KUBERAY)/schemas/manifests.json $(MANIFESTS))
	$(if $(wildcard .github/workflows/*.yml),$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(wildcard .github/workflows/*.yml))
	$(if $(wildcard .github/workflows/*.yml),$(BIN)/actionlint $(wildcard .github/workflows/*.yml))

wrk:
	@sh scripts/bootstrap.sh wrk

bench: venv wrk ## run the benchmarks; the figures of docs/benchmarks.md come from it
	@$(BIN)/python -m benchmarks

deliver: venv ## pipeline, thresholds, registration and a staging endpoint that is tried; PROBLEMS=
	@VENV_BIN=$(abspath $(BIN)) sh scripts/deliver.sh $(PROBLEMS)

nightly-drift: venv ## check what was asked lately, retrain by policy, write issues; PROBLEMS=
	@VENV_BIN=$(abspath $(BIN)) sh scripts/nightly_drift.sh $(PROBLEMS)

audit: venv-dev ## ask for known holes in the locked packages
	@$(BIN)/python scripts/audit.py

sbom: venv-dev ## write the bill of materials of the locked packages, as CycloneDX
	@mkdir -p dist
	@$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--mc-type application --output-reproducible --of JSON -o dist/sbom.cdx.json

licences: venv ## write docs/licences.md anew from the locked packages
	@$(BIN)/python scripts/licences.py

images: ## build the images that docker-compose.yml runs; PUSH=yes publishes them as IMAGE
	@sh scripts/images.sh

release-files: venv-dev ## bill of materials and licences of the release TAG, in dist/
	@sh scripts/release_files.sh $(TAG)

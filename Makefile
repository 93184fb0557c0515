# Everything a person does with the repository. `make help` lists it; docs/setup.md has the same without make.
.DEFAULT_GOAL := help
.PHONY: help setup up dev test test-ci soak lint format types bench lock lock-check licences audit sbom screenshots

UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --no-sync
WORKERS ?= 2
# The tests of the CI tier wait more than they work: for processes that are killed, servers and the clock.
CI_WORKERS ?= 3
PYTEST ?=
CI_POSTGRES_URL ?= postgres://postgres@127.0.0.1:5432/postgres

QUICK := not ci and not soak and not browser and not postgres and not redis
EXPORT := $(UV) export --quiet --no-default-groups --no-emit-project --no-header --format requirements.txt

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | column -t -s '|'

setup: ## Make the environment in .venv
	@sh .ci/setup

up: setup ## Start everything in one process on port 3000
	@$(RUN) manage.py up $(ARGS)

dev: setup ## The same with debug on and reload on changes
	@VIBEX_ENV=dev DEBUG=yes $(RUN) manage.py up --reload $(ARGS)

test: setup ## The quick tests: no servers, no browser
	@$(RUN) pytest -n $(WORKERS) -m "$(QUICK)" $(PYTEST)

test-ci: ## What `make test` leaves out, and all that touches a database on PostgreSQL; needs Redis, Chromium and the recorded data
	@CI=true DATABASE_URL=$(CI_POSTGRES_URL) $(RUN) pytest -n $(CI_WORKERS) --dist worksteal --another-database --reruns 1 -m "not soak" $(PYTEST)

soak: ## The tests that run for minutes
	@$(RUN) pytest -n 0 -m soak --timeout 3600 $(PYTEST)

lint: ## Look for faults in code, templates and migrations
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) djlint --quiet --check --lint templates
	@$(RUN) manage.py makemigrations --check --dry-run
	@$(RUN) manage.py check
	@$(RUN) python -m supply.licences --check

format: ## Format code and templates
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .
	@$(RUN) djlint --quiet --reformat templates

types: ## Check the types
	@$(RUN) mypy

bench: ## Run the benchmarks
	@$(RUN) python -m benchmarks $(ARGS)

lock: ## Resolve the dependencies anew and write requirements.lock
	@$(UV) lock --upgrade
	@$(EXPORT) --output-file requirements.lock >/dev/null

lock-check: ## Compare requirements.lock with the dependencies
	@$(EXPORT) | diff -u requirements.lock - || { echo "requirements.lock is not in step: run make lock"; exit 1; }

licences: ## Write docs/licences.md anew
	@$(RUN) python -m supply.licences $(ARGS)

audit: ## Ask for known faults of the dependencies
	@$(RUN) python -m supply.audit $(ARGS)

sbom: ## Write the bill of materials to data/sbom.json
	@$(RUN) python -m supply.sbom $(or $(SBOM),data/sbom.json)

screenshots: ## Take pictures of every page, wide and narrow
	@$(RUN) python -m benchmarks.screenshots $(ARGS)

# Loop45 needs Python 3.11 or newer and make; everything else is installed into .venv.
SHELL := /bin/sh
BIN := .venv/bin
RUN := .venv/.installed
DEV := .venv/.installed-dev
PRODUCTION := LOOP45_ENV=production LOOP45_HOSTS=loop45.example LOOP45_SECRET_KEY=$$(head -c 48 /dev/urandom | base64 | tr -d '\n')

.DEFAULT_GOAL := help
.PHONY: help run test check bench vendor clean format

help: ## say what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

run: $(RUN) ## start the whole site (LOOP45_PORT=8045); Ctrl-C stops it
	@$(BIN)/python manage.py up

# What needs no running site is shared among the cores; the site's own tests follow alone, also when the first part failed.
test: $(DEV) ## run every test; ARGS="-m 'not e2e' tests/web" chooses
	@tools/need chromium chromium
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest -n logical --dist loadgroup -m "not (e2e or live)"; shared=$$?; \
	 $(BIN)/python -m pytest -m "e2e or live" && exit $$shared
endif

check: $(DEV) ## lint, types, import contracts, templates, migrations, deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

format: $(DEV) ## put Python files into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV) ## measure: a Markdown report on standard output; ARGS="stream pages" chooses
	@$(BIN)/python -m benchmarks.run $(ARGS)

vendor: $(RUN) ## take the front-end libraries of package.json into static/vendor (needs npm)
	npm install --ignore-scripts --no-audit --no-fund --no-package-lock
	$(BIN)/python tools/vendor.py

clean: ## remove the virtual environment and caches; what people wrote, in var/, stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements.txt tools/install
	@tools/install requirements.txt
	@touch $@

$(DEV): requirements.txt requirements-dev.txt tools/install
	@tools/install requirements-dev.txt
	@touch $(RUN) $@

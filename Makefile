# The two commands of a newcomer are `make demo` and `make test`; `make help` lists the rest.

NODE := node_modules/.bin/node
BIN := PATH="$(CURDIR)/node_modules/.bin:$$PATH"
FILES ?=
FIGURES ?=
MINUTES ?= 30
BENCH ?=

.PHONY: help setup check format test chaos bench demo serve key up down

help: ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## Installs what is missing on this machine
	@sh local/setup.sh

demo: setup ## Runs a sample district's attendance calls on real SIP and prints the report
	@$(NODE) local/demo.ts

test: setup ## All tests; FILES="test/unit/retry.test.ts" for some
	@$(NODE) test/run.ts $(FILES)

chaos: setup ## Calls under random faults, then the ledger against the carrier: SEED= FAULTS= CALLS=
	@$(NODE) test/chaos/run.ts

bench: setup ## All benchmarks, over an hour; FIGURES="utilisation start" for some, MINUTES=5 for a shorter soak
	@$(NODE) bench/run.ts --minutes $(MINUTES) $(BENCH) $(FIGURES)

check: setup ## Types, lint, format, structure
	@$(BIN) tsc
	@$(BIN) biome ci --error-on-warnings
	@sh docker/check.sh

format: setup ## Formats the sources
	@$(BIN) biome check --write

serve: setup ## Runs the engine for real use on this machine, until Ctrl-C
	@$(NODE) local/serve.ts

# Without setup, whose lines would stand before the key: `make serve` has to run beside it anyway.
key: ## A new API key: make key NAME=office ROLE=administrator
	@test -x $(NODE) || { echo 'run `make serve` in another terminal first' >&2; exit 1; }
	@$(NODE) local/create-key.ts "$$NAME" "$$ROLE"

up: ## The Docker way: builds, starts and waits for the health checks
	@sh docker/up.sh

down: ## Stops what `make up` started; the data stays
	@sh docker/down.sh

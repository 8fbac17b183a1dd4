# Everything is installed into .local/ as it is needed; see CONTRIBUTING.md.

# PG_CONFIG=/path/to/pg_config uses a server of one's own, PostgreSQL 15 to 18, instead of the embedded 18.
export PG_CONFIG
# Of make demo; tools/demo.py tells what they mean. A shell would overwrite LINES, a terminal's height, by itself.
export VIDEO MODEL MODEL_HEAD MODEL_CONFIG OUT
export DEMO_LINES := $(LINES)

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint install up down url

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS='	' read -r name text; do printf '%-9s%s\n' "$$name" "$$text"; done
	@echo 'PG_CONFIG=/path/to/pg_config uses that server (PostgreSQL 15 to 18) instead of the embedded 18.'

demo: ## count people in a video: VIDEO, MODEL, MODEL_HEAD, MODEL_CONFIG, LINES, OUT (see tools/demo.py --help)
	@tools/setup.sh demo
	@tools/demo.sh

test: ## run all tests, on PostgreSQL 18 and 15, and the examples in the documentation
	@tools/setup.sh test
	@tools/test.sh

bench: ## run the benchmarks
	@tools/setup.sh test
	@tools/bench.sh

lint: ## check formatting and lints
	@tools/setup.sh lint
	@tools/lint.sh

install: ## install a release build into the server of PG_CONFIG
	@tools/setup.sh install
	@tools/install.sh

up: ## start a development cluster with a database camcount, and print its URL
	@tools/setup.sh up
	@tools/cluster.sh up

down: ## stop the development cluster
	@tools/cluster.sh down

url: ## print the URL of the development cluster
	@tools/cluster.sh url

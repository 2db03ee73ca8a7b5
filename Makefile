# conjured: a classroom in a box. `make run` and `make test` do all the set-up.
SHELL := /bin/sh
CUSTOM ?= custom/classroom
STATE ?= $(CURDIR)/state
LISTEN ?= :8989
BIN := bin/conjured
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PY := .cache/py/bin
# Parts that a test run promises: their absence is a failure, never a skip.
NEEDS ?= docker,root,chromium,debootstrap,python3
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: help run test check bench lock deps build seed clean tools
help:
	@echo 'make run [CUSTOM=DIR] [STATE=DIR] [LISTEN=:8989]   a class from a folder, at http://127.0.0.1:8989/'
	@echo 'make test                                         every test, with real Docker and a real browser'
	@echo 'make check                                        format, vet, linters, types of the Python files'
	@echo 'make bench                                        measurements, written to doc/benchmarks.md'
	@echo 'make lock                                         renew the locked versions of JupyterHub and Lab'
	@echo 'make clean                                        forget the state of `make run` (students'"'"' files too)'

# The program, the packages and the tree of the base do not need each other: they are
# made side by side.
run:
	@$(MAKE) --no-print-directory -j3 --output-sync=none build seed
	@$(SUDO) $(BIN) up --state "$(STATE)" --listen "$(LISTEN)" "$(CUSTOM)"

deps:
	@scripts/deps.sh run

seed: deps
	@$(SUDO) scripts/docker.sh start
	@$(SUDO) scripts/seed.sh "$(STATE)" "$(CUSTOM)"

# Without debugging tables, which the linker would drop anyway, a first build takes a sixth less.
build:
	@mkdir -p bin
	@CGO_ENABLED=0 go build -gcflags=all=-dwarf=false -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/conjured

test:
	@scripts/deps.sh test
	@$(MAKE) --no-print-directory tools
	@$(SUDO) env "PATH=$(PATH)" "HOME=$(HOME)" scripts/test.sh "$(NEEDS)"

check: tools
	@scripts/check.sh

tools: $(PY)/.ready
$(PY)/.ready: hub/python/requirements-dev.lock layers/lock/uv.txt
	@mkdir -p .cache && python3 -m venv .cache/py
	@$(PY)/pip install --quiet --disable-pip-version-check --require-hashes -r layers/lock/uv.txt
	@$(PY)/uv pip install --quiet --python $(PY)/python --require-hashes -r hub/python/requirements-dev.lock
	@touch $@

bench: deps build
	@$(SUDO) scripts/docker.sh start
	@scripts/bench.sh

lock: tools
	@UV=$(CURDIR)/$(PY)/uv layers/lock/renew.sh
	@cd hub/python && $(CURDIR)/$(PY)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' -o requirements-dev.lock requirements-dev.in
	@cd gateway/chp/testdata && $(CURDIR)/$(PY)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' -o requirements.lock requirements.in

clean:
	@$(SUDO) $(BIN) down --state "$(STATE)" 2>/dev/null || true
	@$(SUDO) rm -rf "$(STATE)" bin .cache

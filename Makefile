# The same commands for everybody, a newcomer's laptop and CI alike.

# The go command fetches the toolchain that go.mod names by itself.
export GOTOOLCHAIN = auto

GO      ?= go
FOLDERS := cmd config regions discovery federation portal

# For example: make test TESTFLAGS='-race -run Ticket'
TESTFLAGS ?=
# For example: make demo ARGS='--addr localhost:9000 --data /tmp/demo'
ARGS ?=

.PHONY: help build setup test lint demo bench faults soak

help:
	@echo 'make demo    everything in one process: http://localhost:8080'
	@echo 'make test    all tests, on real servers that it installs; skips aloud what it cannot start'
	@echo 'make setup   install the servers and tools that tests need'
	@echo 'make lint    gofmt, vet, staticcheck'
	@echo 'make bench   requests per second beside the bare limit'
	@echo 'make faults  kill everything the product stands on, one by one, under load: a table'
	@echo 'make soak    ten minutes of load: memory, goroutines, file descriptors'
	@echo 'make build   bin/domicile'

build:
	$(GO) build -trimpath -o bin/domicile ./cmd/domicile

setup:
	@.ci/setup

test: setup
	$(GO) test $(TESTFLAGS) ./...

# All three speak before make gives up.
lint:
	@bad=0; \
	unformatted=$$(gofmt -l $(FOLDERS)); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'd:"; echo "$$unformatted"; bad=1; fi; \
	$(GO) vet ./... || bad=1; \
	$(GO) tool staticcheck ./... || bad=1; \
	exit $$bad

demo:
	$(GO) run ./cmd/domicile demo $(ARGS)

bench:
	$(GO) run ./cmd/bench $(ARGS)

faults: setup
	FAULTS=full $(GO) test -count=1 -timeout 30m -v -run '^TestFaults$$' ./cmd/internal/faults

soak: setup
	SOAK=10m $(GO) test -count=1 -timeout 30m -v -run '^TestSoak$$' ./cmd/internal/faults

# Headrace. `make` prints the targets.

SHELL      := /bin/bash
GO         ?= go
BIN        := bin
COMMIT     := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS    := -s -w -X main.commit=$(COMMIT)
# What xcaddy builds with unless told otherwise: databases of certificate authorities.
TAGS       := nobadger,nomysql,nopgx
TOOLS      := test/tools/go.mod test/tools/go.sum
GO_FILES   := $(shell git ls-files -co --exclude-standard '*.go' 2>/dev/null)

export PORT API_PORT DATA SOURCE

.DEFAULT_GOAL := help
.PHONY: help build run test test-unit test-system bench lint fmt clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\n  PORT=8080 DATA=./data SOURCE=<url or file> are settings of make run\n'

build: $(BIN)/edge $(BIN)/controlapi ## build bin/edge and bin/controlapi

$(BIN)/edge: $(GO_FILES) go.mod go.sum
	$(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $@ ./caddymodule/cmd/edge

$(BIN)/controlapi: $(GO_FILES) go.mod go.sum controlapi/httpapi/swaggerui
	$(GO) build -ldflags '$(LDFLAGS)' -o $@ ./controlapi/cmd/controlapi

run: build ## start an edge with test channels and print what to open
	@exec examples/quickstart/run.sh

test: test-unit test-system ## run all tests (installs what they need)

test-unit: ## tests of single packages, with the race detector
	@test/need.sh ffmpeg initdb
	$(GO) vet ./...
	$(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v '/headrace/test/')
	$(GO) test -run 'Alloc' ./controlapi/token ./caddymodule/... # counts that the race detector disturbs
	$(GO) test -run 'Matrix|Fuzz' ./controlapi/httpapi # at full length, which takes too long under the race detector

test-system: build $(BIN)/xcaddy ## tests of the built edge with real players and faults
	@test/need.sh ffmpeg ffprobe curl jq mpv cvlc gst-launch-1.0 chromium node npm nginx strace ps initdb
	@for d in examples/quickstart/page test/conformance; do npm ci --prefix $$d --no-audit --no-fund --loglevel=error || exit 1; done
	$(GO) test -p 1 -parallel 5 -timeout 45m ./test/...
	cd test/conformance && CONTROLAPI=$(CURDIR)/$(BIN)/controlapi $(GO) test ./...

bench: build ## measure against nginx and Caddy's file_server; writes bench.json
	@test/need.sh nginx initdb
	$(GO) run ./test/bench -edge $(BIN)/edge -out bench.json

lint: $(BIN)/golangci-lint ## check style and the import law
	$(BIN)/golangci-lint run ./...
	$(GO) test -run TestImportLaw ./test/law

fmt: $(BIN)/golangci-lint ## format the code
	$(BIN)/golangci-lint fmt ./...

$(BIN)/golangci-lint: $(TOOLS)
	cd test/tools && $(GO) build -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/xcaddy: $(TOOLS)
	cd test/tools && $(GO) build -o ../../$@ github.com/caddyserver/xcaddy/cmd/xcaddy

clean: ## remove what was built
	rm -rf $(BIN) bench.json

# Proa: `make run` shows it at work, `make test` passes every suite. Both install what they need.

CACHE  ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/proa
export CARGO_TARGET_DIR ?= $(CACHE)/target
GUESTS := $(CACHE)/target-wasm
BIN    := $(CURDIR)/bin

.PHONY: build guests host run test lint bench soak fuzz clean setup-build setup-test

build: setup-build host guests

setup-build:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test

# The binary, and a link under Dapr's name.
host:
	cargo build --release
	@mkdir -p $(BIN)
	@cp -f $(CARGO_TARGET_DIR)/release/proa $(BIN)/proa.new && mv -f $(BIN)/proa.new $(BIN)/proa
	@ln -sf proa $(BIN)/daprd

# The shipped components, compiled ahead, beside the binary.
guests: host
	cd components-wasm && CARGO_TARGET_DIR=$(GUESTS) cargo build --release --target wasm32-wasip2
	@scripts/catalogue.sh $(GUESTS)/wasm32-wasip2/release $(BIN)

run: build
	@examples/counter/run.sh

test: build setup-test
	@scripts/test.sh

lint: setup-build
	@scripts/lint.sh

bench: build
	@python3 tests/bench/bench.py proa=$(BIN)/proa $(if $(BASELINE),baseline=$(BASELINE)) $(BENCH)

soak: build
	@tests/bench/soak.py $(BIN)/proa $(SOAK)

# FUZZ: seconds for each target, and targets (all if none is named).
fuzz: build
	@fuzz/run.sh $(FUZZ)

clean:
	rm -rf $(BIN)

# run, test, lint, bench, deny, openapi and setup: each is about one line of cargo.
#
# Every command selects the whole workspace, so that all of them resolve one set of features and the
# dependencies (about 700 crates, some of them in C++) are compiled once for `run`, `test` and `bench`.

# Outside of the checkout, so that a fresh clone and a CI job find what was built before.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/kernex/target
# rustup puts cargo there, also where the shell does not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

# Arguments for `kernex serve`: make run ARGS="--listen 127.0.0.1:9090"
ARGS ?=
# More than cores: most tests of the whole wait for a server or a fleet most of the time.
TEST_THREADS ?= 6

.PHONY: run test lint bench deny openapi setup

run: setup
	cargo build --workspace --locked
	exec $(CARGO_TARGET_DIR)/debug/kernex serve $(ARGS)

# The tests also start the real binary, so it is built first. Two programs look at
# its telemetry, clients are generated in Python and TypeScript, and a plugin is built in JavaScript.
test:
	@.ci/setup node npm java venv chromium promtool rotel schemathesis puppeteer componentize-qjs
	cargo build --workspace --locked
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace --locked

# Clippy lints while the workspace is built. `cargo clippy` is faster once everything is there, but on a new machine it
# would compile all dependencies a second time, only to look at them.
lint: setup
	cargo fmt --all --check
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/.ci/lint cargo build --workspace --all-targets --locked

# In the dev profile, whose dependencies are optimised anyway: another profile would build them all again. Our own
# crates, which are not, are optimised for this, and so is what decisions are compared with: as wasmtime is. The
# heartbeat bench drives the real server with wrk.
COMPARED = cedar-policy cedar-policy-core regorus
OPTIMISED = $(foreach crate,kernex kernex-model kernex-store kernex-tests $(COMPARED),--config profile.dev.package.$(crate).opt-level=3) \
	$(foreach crate,$(COMPARED),--config profile.dev.package.$(crate).codegen-units=1)
bench:
	@.ci/setup wrk venv rotel
	cargo build --workspace --locked $(OPTIMISED)
	cargo bench --workspace --locked --profile dev $(OPTIMISED) --bench classify --bench decision --bench heartbeat --bench policies --bench scale

# Licences, advisories and origins of what is built on, by deny.toml. It needs the network and a program that is not
# needed to build Kernex and takes minutes to build itself, so set-up does not bring it.
deny:
	@command -v cargo-deny >/dev/null || { echo 'make deny: cargo-deny is missing: cargo install --locked cargo-deny' >&2; exit 1; }
	cargo deny --locked check

# What is checked in and made by the program: the document, for those who generate clients, and the book's chapters on
# settings and policies. Tests say when one has fallen behind.
openapi: setup
	cargo build --workspace --locked
	$(CARGO_TARGET_DIR)/debug/kernex openapi >docs/openapi.json
	$(CARGO_TARGET_DIR)/debug/kernex config reference >docs/src/settings.md
	$(CARGO_TARGET_DIR)/debug/kernex plugin reference >docs/src/policy-reference.md

# Installs what is missing: the compiler and target of rust-toolchain.toml, a C++ compiler, libclang.
setup:
	@.ci/setup

#!/usr/bin/env bash
# Formatting, clippy and, where cargo-deny is installed, licences and advisories.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
(cd components-wasm && cargo fmt --all --check)
cargo clippy --release --workspace --all-targets -- -D warnings
(cd components-wasm && CARGO_TARGET_DIR="$CARGO_TARGET_DIR-wasm" cargo clippy --release --target wasm32-wasip2 -- -D warnings)
if command -v cargo-deny >/dev/null; then cargo deny check licenses advisories bans; fi

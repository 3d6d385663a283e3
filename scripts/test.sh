#!/usr/bin/env bash
# Every suite, against the built binary. Ends with the number of suites that passed.
set -uo pipefail
cd "$(dirname "$0")/.."
export PROA_BIN="${PROA_BIN:-$PWD/bin/daprd}"
failed=()
passed=0
suite() {
    local name=$1
    shift
    echo "== $name"
    local begun=$SECONDS
    if "$@"; then passed=$((passed + 1)); else failed+=("$name"); fi
    echo "== $name: $((SECONDS - begun))s"
}

formatting() { cargo fmt --all --check && (cd components-wasm && cargo fmt --all --check); }

guests() { (cd components-wasm && CARGO_TARGET_DIR="$CARGO_TARGET_DIR-guest-tests" cargo test --workspace -q); }

test_guests() { PROA_TEST_GUESTS=$(tests/guests/build.sh | tail -1) && export PROA_TEST_GUESTS && [ -d "$PROA_TEST_GUESTS" ]; }

suite formatting formatting
suite test-guests test_guests
suite runtime cargo test --release --no-fail-fast
suite guests guests
suite clients tests/clients/run.sh
for example in examples/*/run.sh; do suite "$example" "$example" --check; done

echo
[ ${#failed[@]} -eq 0 ] || printf 'failed: %s\n' "${failed[@]}"
echo "suites: $passed passed, ${#failed[@]} failed"
[ ${#failed[@]} -eq 0 ]

#!/usr/bin/env bash
# Builds the components that only tests load and prints the folder that holds them (one line, the only thing on stdout).
# The folder is $CARGO_TARGET_DIR/test-guests, or target/test-guests beside this script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
cargo build --locked --release --target wasm32-wasip2 >&2
out="$CARGO_TARGET_DIR/test-guests"
built="$CARGO_TARGET_DIR/wasm32-wasip2/release"
mkdir -p "$out"
for folder in */Cargo.toml; do
    name="${folder%/Cargo.toml}"
    # Replaced in one step: a running sidecar may be watching.
    cp "$built/${name//-/_}.wasm" "$out/.$name.new"
    mv "$out/.$name.new" "$out/$name.wasm"
done
# Files that are no components: text, a core module, and a component that breaks off. They lie apart so that a resources folder can be chosen without them.
mkdir -p "$out/bad"
printf 'this is no WebAssembly\n' > "$out/bad/bad-wasm.wasm"
printf '\0asm\1\0\0\0' > "$out/bad/core-module.wasm"
head -c "$(($(wc -c < "$out/hostile-state.wasm") / 2))" "$out/hostile-state.wasm" > "$out/bad/truncated.wasm"
: > "$out/bad/empty.wasm"
echo "$out"

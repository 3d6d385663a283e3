#!/usr/bin/env bash
# Fuzzes the sidecar's servers: fuzz/run.sh [seconds for each target] [http|grpc|invoke ...]
# Builds with the pinned stable toolchain. What is found lies in the cache folder below `fuzz/`; a new input that reaches new code is kept
# there too, and `fuzz/run.sh minimise` takes the least set that reaches the same over into the corpus of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/proa
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export PROA_CATALOGUE=${PROA_CATALOGUE:-$PWD/bin/components}

# The engine, once.
(cd fuzz/engine && cargo build --release --quiet --target-dir "$cache/target-fuzz-engine")
library=$(find "$cache/target-fuzz-engine/release/build" -name libfuzzer.a -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
PROA_LIBFUZZER=$(dirname "$library")
export PROA_LIBFUZZER

# All crates of the usual build are chosen, so that their dependencies are those of the usual build too, and nothing is built twice.
members=$(cargo metadata --no-deps --format-version 1 --offline | python3 -c '
import json, sys
told = json.load(sys.stdin)
print(*(package["name"] for package in told["packages"] if package["id"] in told["workspace_default_members"]))')
chosen=(-p proa-fuzz)
for member in $members; do chosen+=(-p "$member"); done
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/rustc.sh cargo build --release --quiet "${chosen[@]}" --bin fuzz-http --bin fuzz-grpc --bin fuzz-invoke

targets=()
seconds=60
for argument in "$@"; do
    case $argument in
        [0-9]*) seconds=$argument ;;
        http | grpc | invoke) targets+=("$argument") ;;
        minimise) minimise=1 ;;
        *) echo "usage: fuzz/run.sh [seconds] [http|grpc|invoke ...] [minimise]" >&2; exit 2 ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || targets=(http grpc invoke)

[ -f "$PROA_CATALOGUE/catalogue.json" ] || { echo "$PROA_CATALOGUE has no components: run make build first" >&2; exit 1; }
status=0
for target in "${targets[@]}"; do
    binary=$CARGO_TARGET_DIR/release/fuzz-$target
    found=$cache/fuzz/$target
    mkdir -p "$found/corpus" "$found/findings"
    if [ -n "${minimise:-}" ]; then
        kept=$(mktemp -d)
        "$binary" -merge=1 -max_len=4096 "$kept" "fuzz/corpus/$target" "$found/corpus" 2>&1 | tail -1
        cp -n "$kept"/* "fuzz/corpus/$target/"
        rm -rf "$kept"
        continue
    fi
    echo "== $target, $seconds s"
    # As a Rust program has it from its runtime, whose entry a fuzzer replaces: a peer that is gone is an error of the write, and no signal.
    trap '' PIPE
    "$binary" -max_total_time="$seconds" -max_len=4096 -timeout=25 -rss_limit_mb=2048 -use_value_profile=0 -print_final_stats=1 \
        -dict=fuzz/words.dict -artifact_prefix="$found/findings/" "$found/corpus" "fuzz/corpus/$target" >"$found/log" 2>&1 || status=1
    grep -E 'panicked|^ERROR|SUMMARY|Test unit written' "$found/log" || true
    grep -E '^#[0-9]+.*DONE|stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "$found/log" || tail -5 "$found/log"
done
[ $status -eq 0 ] && echo "no finding" || echo "findings: $cache/fuzz"
exit $status

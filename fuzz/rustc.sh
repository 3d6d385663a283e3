#!/usr/bin/env bash
# RUSTC_WORKSPACE_WRAPPER: the crates of the sidecar are instrumented for libFuzzer, with all checks on. The flags are stable ones.
rustc=$1
shift
name=
previous=
for argument in "$@"; do
    [ "$previous" = --crate-name ] && name=$argument
    previous=$argument
done
case $name in
    proa | proa_*)
        exec "$rustc" "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=on -Coverflow-checks=on
        ;;
    *) exec "$rustc" "$@" ;;
esac

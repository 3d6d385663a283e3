#!/usr/bin/env bash
# Installs what is missing: `build` for building, `test` for the test suites on top. Quick when nothing is missing.
set -euo pipefail

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

packages() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust with rustup first" >&2
    exit 1
fi
# rust-toolchain.toml names the toolchain and the wasm target; rustup installs both at the first use.
rustup show active-toolchain >/dev/null
rustup target list --installed | grep -q '^wasm32-wasip2$' || rustup target add wasm32-wasip2

command -v apt-get >/dev/null || exit 0
packages build-essential clang lld curl
[ "${1:-build}" = test ] || exit 0
packages redis-server rabbitmq-server mosquitto nats-server python3 python3-venv python3-pip openssl
command -v node >/dev/null || packages nodejs npm
exit 0

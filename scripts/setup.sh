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
    without_services as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Servers that packages bring along stay down: the suites start their own.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then "$@"; return; fi
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
    local outcome=0
    "$@" || outcome=$?
    as_root rm -f "$policy"
    return $outcome
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
command -v javac >/dev/null || packages default-jdk-headless
command -v mvn >/dev/null || packages maven

# Dapr's SDK for Go asks for a Go that distributions do not have yet. Any older one fetches it as a module, as newer ones do by themselves.
go_wanted=1.26.8
go_home=${XDG_CACHE_HOME:-$HOME/.cache}/proa/go
is_new() { [ "$(printf '%s\n' 1.26.0 "$1" | sort -V | head -1)" = 1.26.0 ]; }
go_version() { "$1" version 2>/dev/null | grep -oE 'go[0-9][0-9.]*' | head -1 | cut -c3-; }
if [ ! -x "$go_home/bin/go" ] && ! is_new "$(GOTOOLCHAIN=local go_version go || echo 0)"; then
    command -v go >/dev/null || packages golang-go
    echo "fetching Go $go_wanted"
    modules=$(mktemp -d)
    module=golang.org/toolchain@v0.0.1-go$go_wanted.linux-$(go env GOARCH)
    (cd "$modules" && GOMODCACHE=$modules GOFLAGS=-modcacherw GOTOOLCHAIN=local go mod download "$module")
    # Module archives carry no modes and no nested go.mod.
    find "$modules/$module/bin" "$modules/$module/pkg/tool" -type f -exec chmod +x {} +
    find "$modules/$module" -name _go.mod -execdir mv {} go.mod \;
    mkdir -p "$(dirname "$go_home")"
    rm -rf "$go_home"
    mv "$modules/$module" "$go_home"
    rm -rf "$modules"
fi
exit 0

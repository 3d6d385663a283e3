#!/usr/bin/env bash
# Builds the component, starts a sidecar with it and shows it. With --check: asserts, and ends with status 0 when all is well.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${PROA_BIN:-$here/../../bin/daprd}
bin=$(cd "$(dirname "$bin")" && pwd)/$(basename "$bin")
target=${CARGO_TARGET_DIR:-$here/target}

(cd "$here" && cargo build --quiet --release --target wasm32-wasip2 --target-dir "$target")
cp "$target/wasm32-wasip2/release/example_headers.wasm" "$here/resources/"

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

work=$(mktemp -d)
sidecar=
trap '[ -z "$sidecar" ] || kill "$sidecar" 2>/dev/null || true; rm -rf "$work"' EXIT
port=$(free_port)
url=http://127.0.0.1:$port

# start RESOURCES
start() {
  "$bin" --app-id example --resources-path "$1" --config "$here/config.yaml" --dapr-http-port "$port" \
    --dapr-grpc-port "$(free_port)" --enable-metrics=false >"$work/sidecar.log" 2>&1 &
  sidecar=$!
  for _ in $(seq 150); do
    curl -fs "$url/v1.0/healthz" >/dev/null 2>&1 && return
    kill -0 "$sidecar" 2>/dev/null || break
    sleep 0.2
  done
  echo "the sidecar did not start:" >&2
  tail -20 "$work/sidecar.log" >&2
  exit 1
}

if [ "${1:-}" != --check ]; then
  start "$here/resources"
  echo "Running. Try:"
  echo "  curl -i $url/v1.0/metadata"
  echo "Ctrl-C ends it."
  tail -f "$work/sidecar.log" &
  follow=$!
  trap 'kill "$sidecar" "$follow" 2>/dev/null || true; rm -rf "$work"' EXIT
  wait "$sidecar"
  exit
fi

# expect WHAT WANTED GOT
expect() {
  [ "$2" = "$3" ] && { echo "ok: $1"; return; }
  echo "FAILED: $1: wanted <$2>, got <$3>" >&2
  tail -20 "$work/sidecar.log" >&2
  exit 1
}
# header NAME PATH
header() { curl -sS -D - -o /dev/null "$url$2" | tr -d '\r' | sed -n "s/^$1: //Ip"; }

# A copy, so that the resource can be edited.
cp -r "$here/resources" "$work/resources"
start "$work/resources"
expect "a header" proa "$(header x-served-by /v1.0/metadata)"
expect "another header" no-store "$(header cache-control /v1.0/metadata)"
expect "a header of an error" proa "$(header x-served-by /v1.0/state/nowhere/key)"
expect "server-timing" 1 "$(header server-timing /v1.0/metadata | grep -Ec '^next;dur=[0-9]+\.[0-9]{3}$')"
expect "the body is whole" example "$(curl -sS "$url/v1.0/metadata" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')"
echo "all is well"

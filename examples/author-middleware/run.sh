#!/usr/bin/env bash
# Builds the component, starts a sidecar with it and shows it. With --check: asserts, and ends with status 0 when all is well.
. "$(dirname "$0")/../lib.sh"
target=${CARGO_TARGET_DIR:-$here/target}

(cd "$here" && cargo build --quiet --release --target wasm32-wasip2 --target-dir "$target")
cp "$target/wasm32-wasip2/release/example_headers.wasm" "$here/resources/"

free_port port grpc
url=http://127.0.0.1:$port

# start RESOURCES
start() {
  sidecar example "$here" "$port" --resources-path "$1" --config "$here/config.yaml" --dapr-grpc-port "$grpc" --enable-metrics=false
  healthy example "$port"
}

if [ "${1:-}" != --check ]; then
  start "$here/resources"
  echo "Running. Try:"
  echo "  curl -i $url/v1.0/metadata"
  forever example
fi

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

#!/usr/bin/env bash
# Builds the component, starts a sidecar with it and shows it. With --check: asserts, and ends with status 0 when all is well.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${PROA_BIN:-$here/../../bin/daprd}
bin=$(cd "$(dirname "$bin")" && pwd)/$(basename "$bin")
target=${CARGO_TARGET_DIR:-$here/target}

(cd "$here" && cargo build --quiet --release --target wasm32-wasip2 --target-dir "$target")
cp "$target/wasm32-wasip2/release/example_journal.wasm" "$here/resources/"

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

start() {
  (cd "$1" && exec "$bin" --app-id example --resources-path "$here/resources" --dapr-http-port "$port" \
    --dapr-grpc-port "$(free_port)" --enable-metrics=false) >"$work/sidecar.log" 2>&1 &
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
  start "$here"
  echo "Running. The journal is $here/data/journal.jsonl. Try:"
  echo "  curl -i -d '[{\"key\":\"tea\",\"value\":\"green\"}]' -H 'content-type: application/json' $url/v1.0/state/journal"
  echo "  curl -i $url/v1.0/state/journal/tea"
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
json() { curl -sS -H 'content-type: application/json' "$@"; }
code() { json -o /dev/null -w '%{http_code}' "$@"; }
etag() { json -D - -o /dev/null "$url/v1.0/state/journal/$1" | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p'; }

start "$work"
expect "a write" 204 "$(code -d '[{"key":"tea","value":{"kind":"green"}},{"key":"cups","value":1}]' "$url/v1.0/state/journal")"
expect "a read" '{"kind":"green"}' "$(json "$url/v1.0/state/journal/tea")"
expect "a key that does not exist" 204 "$(code "$url/v1.0/state/journal/coffee")"
old=$(etag cups)
expect "a write with the right etag" 204 "$(code -d '[{"key":"cups","value":2,"etag":"'"$old"'"}]' "$url/v1.0/state/journal")"
expect "a write with an old etag" 409 "$(code -d '[{"key":"cups","value":3,"etag":"'"$old"'"}]' "$url/v1.0/state/journal")"
expect "a transaction" 204 "$(code -d '{"operations":[{"operation":"upsert","request":{"key":"pot","value":"full"}},{"operation":"delete","request":{"key":"tea"}}]}' "$url/v1.0/state/journal/transaction")"
expect "the file has one line a write" 4 "$(wc -l <"$work/data/journal.jsonl" | tr -d ' ')"

kill -9 "$sidecar"
wait "$sidecar" 2>/dev/null || true
printf '[{"key":"torn' >>"$work/data/journal.jsonl"
start "$work"
expect "after a crash: what was written" '"full"' "$(json "$url/v1.0/state/journal/pot")"
expect "after a crash: what was overwritten" 2 "$(json "$url/v1.0/state/journal/cups")"
expect "after a crash: what was deleted" 204 "$(code "$url/v1.0/state/journal/tea")"
expect "after a crash: a new write" 204 "$(code -d '[{"key":"tea","value":"black"}]' "$url/v1.0/state/journal")"
expect "the torn line is gone" 5 "$(wc -l <"$work/data/journal.jsonl" | tr -d ' ')"
echo "all is well"

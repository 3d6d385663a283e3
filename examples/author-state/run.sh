#!/usr/bin/env bash
# Builds the component, starts a sidecar with it and shows it. With --check: asserts, and ends with status 0 when all is well.
. "$(dirname "$0")/../lib.sh"
target=${CARGO_TARGET_DIR:-$here/target}

(cd "$here" && cargo build --quiet --release --target wasm32-wasip2 --target-dir "$target")
cp "$target/wasm32-wasip2/release/example_journal.wasm" "$here/resources/"

free_port port grpc
url=http://127.0.0.1:$port

# start FOLDER: the journal is a folder in it.
start() {
  sidecar example "$1" "$port" --resources-path "$here/resources" --dapr-grpc-port "$grpc" --enable-metrics=false
  healthy example "$port"
}

if [ "${1:-}" != --check ]; then
  start "$here"
  echo "Running. The journal is $here/data/journal.jsonl. Try:"
  echo "  curl -i -d '[{\"key\":\"tea\",\"value\":\"green\"}]' -H 'content-type: application/json' $url/v1.0/state/journal"
  echo "  curl -i $url/v1.0/state/journal/tea"
  forever example
fi

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

ended "$pid" KILL 2>/dev/null || true
printf '[{"key":"torn' >>"$work/data/journal.jsonl"
start "$work"
expect "after a crash: what was written" '"full"' "$(json "$url/v1.0/state/journal/pot")"
expect "after a crash: what was overwritten" 2 "$(json "$url/v1.0/state/journal/cups")"
expect "after a crash: what was deleted" 204 "$(code "$url/v1.0/state/journal/tea")"
expect "after a crash: a new write" 204 "$(code -d '[{"key":"tea","value":"black"}]' "$url/v1.0/state/journal")"
expect "the torn line is gone" 5 "$(wc -l <"$work/data/journal.jsonl" | tr -d ' ')"
echo "all is well"

#!/usr/bin/env bash
# A sidecar and an app that counts: no server, no network, no container.
#   run.sh            runs until Ctrl-C and says what to edit
#   run.sh --check    runs on its own, replaces components under load, asserts, and ends with status 0
# PROA_BIN: the sidecar, bin/daprd of this repository if not set. DAPR_HTTP_PORT, DAPR_GRPC_PORT, METRICS_PORT, APP_PORT: the ports.
. "$(dirname "$0")/../lib.sh"

# launch FOLDER: the sidecar, which reads FOLDER/resources, and the app.
launch() {
  export COUNTER_DATABASE=$work/counter.db
  sidecar counter "$1" "$DAPR_HTTP_PORT" --resources-path resources --app-port "$APP_PORT" --dapr-grpc-port "$DAPR_GRPC_PORT" \
    --metrics-port "$METRICS_PORT" --metrics-listen-address 127.0.0.1
  COUNTER_PAUSE=${COUNTER_PAUSE:-1} python3 "$here/app.py" >"${app_output:-/dev/stdout}" 2>&1 &
  app=$!
  started+=("$app")
}

if [ "${1:-}" != --check ]; then
  export APP_PORT=${APP_PORT:-6001} DAPR_HTTP_PORT=${DAPR_HTTP_PORT:-3500} DAPR_GRPC_PORT=${DAPR_GRPC_PORT:-50001} METRICS_PORT=${METRICS_PORT:-9090}
  shown=$(realpath --relative-to="$PWD" "$here" 2>/dev/null || echo "$here")
  cat <<END
An app counts in SQLite, publishes each number and gets it back; a cron binding ticks it and it reads a secret.
While it runs, change something in another terminal and watch the lines SWAP and REFUSED:
  $shown/resources/ticker.yaml   another schedule, such as "@every 500ms", or nonsense
  $shown/resources/store.yaml    another cleanupInterval: the count goes on, no call fails
  $shown/secrets.json            another greeting
and ask the sidecar what it runs:
  curl -s localhost:$DAPR_HTTP_PORT/v1.0/metadata
  curl -s localhost:$METRICS_PORT/metrics | grep proa_component
Its log: $work/counter.log. Ctrl-C ends both.

END
  launch "$here"
  wait -n "$pid" "$app" || true
  fail "the sidecar or the app ended"
fi

free_port APP_PORT DAPR_HTTP_PORT DAPR_GRPC_PORT METRICS_PORT
export APP_PORT DAPR_HTTP_PORT DAPR_GRPC_PORT METRICS_PORT
export COUNTER_PAUSE=0.02
app_output=$work/app.log

# A copy, because resources are rewritten.
mkdir "$work/copy"
cp -r "$here/resources" "$here/secrets.json" "$work/copy/"

# ask EXPRESSION: an expression over the app's numbers.
ask() {
  curl -fs "http://127.0.0.1:$APP_PORT/stats" | python3 -c '
import json, sys
print(eval(sys.argv[1], {}, json.load(sys.stdin)))' "$1"
}
# within SECONDS WHAT EXPRESSION: waits until the expression over the app's numbers is true.
within() {
  local end=$((SECONDS + $1))
  until [ "$(ask "$3" 2>/dev/null)" = True ]; do
    kill -0 "$pid" 2>/dev/null || fail "the sidecar ended: $2"
    [ $SECONDS -lt $end ] || fail "$2: $(curl -s "http://127.0.0.1:$APP_PORT/stats")"
    sleep 0.05
  done
  echo "ok: $2"
}
# rewrite FILE FROM TO: replaces the file in one step.
rewrite() {
  grep -qF "$2" "$work/copy/$1" || fail "$1 does not say $2"
  sed "s|$2|$3|" "$work/copy/$1" >"$work/new"
  mv "$work/new" "$work/copy/$1"
}

launch "$work/copy"
within 10 "it counts" "count >= 10"
within 5 "what it publishes comes back" "received >= 10"
within 5 "cron ticks" "ticks >= 1"
within 5 "the secret is read" "greeting == 'good day'"

before=$(ask count)
rewrite resources/store.yaml 10m 20m
within 10 "the store is replaced" "components.get('store') == '2'"
after=$(ask count)
within 5 "the count goes on ($before before, $after right after)" "count >= $after + 10"

rewrite resources/ticker.yaml '@every 2s' '@every 100ms'
within 10 "the schedule is replaced" "components.get('ticker') == '2'"
ticks=$(ask ticks)
within 5 "it ticks by the new one" "ticks >= $ticks + 5"

rewrite secrets.json 'good day' 'good evening'
within 10 "a changed secret arrives" "greeting == 'good evening'"

rewrite resources/ticker.yaml '@every 100ms' 'now and then'
within 10 "nonsense is refused" "'ticker' in refused and components.get('ticker') == '2'"
ticks=$(ask ticks)
within 5 "and the old schedule goes on" "ticks >= $ticks + 5"

curl -fsX POST "http://127.0.0.1:$APP_PORT/pause" >/dev/null
within 5 "every number came back once" "count == published == received"
within 1 "no call failed" "failed == 0"
ended "$pid" || fail "the sidecar ended with status $?"
echo "all is well"

#!/usr/bin/env bash
# Two applications, each with its sidecar: FastAPI takes orders and asks Express for the goods. They find each other by name.
#   run.sh            runs until Ctrl-C and says what to ask
#   run.sh --check    asks by itself, asserts, and ends with status 0 when all is well
# Needs Python 3 and Node 20 or newer; FastAPI and Express are installed once, below the user's cache folder.
. "$(dirname "$0")/../lib.sh"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/proa/examples/invoke

# A copy of the list lies beside what was installed from it; a difference means: install again.
if ! cmp -s "$here/orders/requirements.txt" "$cache/orders/requirements.txt"; then
  rm -rf "$cache/orders"
  python3 -m venv "$cache/orders"
  "$cache/orders/bin/pip" install --quiet --requirement "$here/orders/requirements.txt"
  cp "$here/orders/requirements.txt" "$cache/orders/"
fi
if ! cmp -s "$here/stock/package.json" "$cache/stock/package.json"; then
  rm -rf "$cache/stock"
  mkdir -p "$cache/installing"
  cp "$here/stock/package.json" "$cache/installing/"
  (cd "$cache/installing" && npm install --no-package-lock --no-audit --no-fund --loglevel=error >/dev/null)
  mv "$cache/installing" "$cache/stock"
fi

# Sidecars find one another on the whole machine: in a check, names that nobody else has.
orders=orders stock=stock
if [ "${1:-}" = --check ]; then orders=orders-$$ stock=stock-$$; fi
free_port orders_app orders_http orders_grpc stock_app stock_http stock_grpc

start_stock() {
  APP_PORT=$stock_app MODULES=$cache/stock node "$here/stock/app.mjs" >>"$work/stock-app.log" 2>&1 &
  stock_pid=$!
  started+=("$stock_pid")
}
start_stock
sidecar "$stock" "$here" "$stock_http" --app-port "$stock_app" --dapr-grpc-port "$stock_grpc" --enable-metrics=false
stock_sidecar=$pid
healthy "$stock" "$stock_http"
STOCK=$stock APP_PORT=$orders_app DAPR_HTTP_PORT=$orders_http "$cache/orders/bin/python" "$here/orders/app.py" >>"$work/orders-app.log" 2>&1 &
started+=("$!")
sidecar "$orders" "$here" "$orders_http" --app-port "$orders_app" --dapr-grpc-port "$orders_grpc" --enable-metrics=false
healthy "$orders" "$orders_http"
url=http://127.0.0.1:$orders_app

if [ "${1:-}" != --check ]; then
  echo "Running. Try:"
  echo "  curl -i -d '{\"item\":\"kettle\",\"count\":2}' -H 'content-type: application/json' $url/orders"
  echo "  curl -N $url/deliveries"
  echo "  curl -i -H 'dapr-app-id: $stock' -d '{\"count\":1}' -H 'content-type: application/json' 127.0.0.1:$orders_http/items/teapot/reserve"
  forever "$orders"
fi

# order ITEM COUNT: status and body
order() {
  curl -sS -w '%{http_code} ' -o "$work/answer" -H 'content-type: application/json' -d "{\"item\":\"$1\",\"count\":$2}" "$url/orders" && cat "$work/answer"
}
# within SECONDS WHAT COMMAND...
within() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what"
    sleep 0.1
  done
  echo "ok: $what"
}

within 20 "the application listens" curl -fs "$url/openapi.json"
expect "an order" "201 {\"order\":{\"item\":\"kettle\",\"count\":2},\"stock\":{\"item\":\"kettle\",\"left\":1,\"caller\":\"$orders\"}}" "$(order kettle 2)"
expect "more than there is" '409 {"order":{"item":"kettle","count":2},"stock":{"error":"only 1 of kettle left"}}' "$(order kettle 2)"
expect "what there is not" 404 "$(order spoon 1 | cut -c1-3)"

# The first event arrives while the others have not been sent yet.
began=$(date +%s%3N)
first= count=0
while read -r line; do
  case $line in data:*) count=$((count + 1)); [ -n "$first" ] || first=$(($(date +%s%3N) - began)) ;; esac
done < <(curl -sSN "$url/deliveries")
took=$(($(date +%s%3N) - began))
expect "all events" 3 "$count"
[ $((took - first)) -ge 400 ] || fail "the events came at once: the first after $first ms, the last after $took ms"
echo "ok: events come one by one"

ended "$stock_pid" KILL 2>/dev/null || true
case $(order teapot 1) in 5*) echo "ok: without the other application, an error" ;; *) fail "an answer from nobody" ;; esac
start_stock
answers() { order teapot 1 | grep -q '^201 '; }
within 10 "the other application is back" answers

ended "$stock_sidecar" || fail "the sidecar ended with status $?"
sidecar "$stock" "$here" "$stock_http" --app-port "$stock_app" --dapr-grpc-port "$stock_grpc" --enable-metrics=false
within 30 "the other sidecar is back" answers
echo "all is well"

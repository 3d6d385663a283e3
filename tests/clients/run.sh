#!/usr/bin/env bash
# Drives a sidecar with Dapr's own SDKs for Python and JavaScript.
#   PROA_BIN=path/to/sidecar tests/clients/run.sh [python|javascript ...]
# The SDKs are installed once, with pinned versions, below the user's cache folder. Ends with `N passed, N failed`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PROA_BIN=${PROA_BIN:-$here/../../bin/daprd}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/proa/clients
mkdir -p "$cache"
PROA_BIN=$(realpath "$PROA_BIN")

scratch=$(mktemp -d)
redis_pid=
finish() {
  [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT

# A copy of the pinned list lies beside the installation; a difference means: install again.
install_python() {
  local wanted=$here/python/requirements.txt
  if ! cmp -s "$wanted" "$cache/venv/requirements.txt"; then
    rm -rf "$cache/venv"
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet --requirement "$wanted"
    cp "$wanted" "$cache/venv/requirements.txt"
  fi
}

install_javascript() {
  local wanted=$here/javascript/package.json
  if ! cmp -s "$wanted" "$cache/node/package.json"; then
    rm -rf "$cache/node"
    mkdir -p "$cache/node"
    cp "$wanted" "$cache/node/installing.json"
    (cd "$cache/node" && mv installing.json package.json && npm install --no-package-lock --no-audit --no-fund --loglevel=error) ||
      { rm -rf "$cache/node"; return 1; }
  fi
}

start_redis() {
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no --dir "$scratch" >"$scratch/redis.log" 2>&1 &
  redis_pid=$!
  for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.05
  done
  export PROA_CLIENT_REDIS=127.0.0.1:$port
}

passed=0
failed=0
count() { # log, word -> the number in front of it in the runner's last lines
  grep -oE "$2" "$1" | tail -1 | grep -oE '[0-9]+' || echo 0
}

run_python() {
  install_python
  local log=$scratch/python.log status=0
  (cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" -m pytest -p no:cacheprovider -q --tb=short --color=no .) 2>&1 | tee "$log" || status=$?
  passed=$((passed + $(count "$log" '[0-9]+ passed')))
  failed=$((failed + $(count "$log" '[0-9]+ failed') + $(count "$log" '[0-9]+ errors?')))
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}

run_javascript() {
  install_javascript
  local log=$scratch/javascript.log status=0
  PROA_CLIENT_NODE=$cache/node/ node --test --test-concurrency=1 --test-reporter=tap "$here/javascript/" 2>&1 | tee "$log" || status=$?
  passed=$((passed + $(count "$log" '^# pass [0-9]+')))
  failed=$((failed + $(count "$log" '^# fail [0-9]+')))
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}

start_redis
for language in "${@:-python javascript}"; do
  for one in $language; do "run_$one"; done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

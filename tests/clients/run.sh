#!/usr/bin/env bash
# Drives sidecars with Dapr's own SDKs for Python, JavaScript, Go and Java.
#   PROA_BIN=path/to/sidecar tests/clients/run.sh [python|javascript|go|java ...]
# The SDKs are installed once, with pinned versions, below the user's cache folder. Ends with `N passed, N failed`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PROA_BIN=${PROA_BIN:-$here/../../bin/daprd}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/proa/clients
mkdir -p "$cache"
PROA_BIN=$(realpath "$PROA_BIN")
# Part of each application's name: sidecars find one another on the whole machine, and another run may be under way.
export PROA_CLIENT_RUN=$$
# Cases that `PROA_CLIENT_LATER` names are left out; `PROA_REFERENCE=1` runs them all, against a daprd of Dapr's.
export PROA_CLIENT_LATER="${PROA_CLIENT_LATER:-}"
[ -z "${PROA_REFERENCE:-}" ] || PROA_CLIENT_LATER=

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

tally() { # log, pattern of the passed, patterns of the failed
  local log=$1 pattern
  passed=$((passed + $(count "$log" "$2")))
  shift 2
  for pattern in "$@"; do failed=$((failed + $(count "$log" "$pattern"))); done
}

# Go as new as the module asks for; setup.sh puts one into the cache folder where the machine has an older one or none.
go_tool() {
  local own=$cache/../go/bin/go
  if [ -x "$own" ]; then echo "$own"; else command -v go; fi
}

run_python() {
  install_python
  local log=$scratch/python.log status=0 word expression=
  for word in $PROA_CLIENT_LATER; do expression+="${expression:+ and }not $word"; done
  (cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" -m pytest -p no:cacheprovider -q --tb=short --color=no -k "$expression" .) 2>&1 | tee "$log" || status=$?
  tally "$log" '[0-9]+ passed' '[0-9]+ failed' '[0-9]+ errors?'
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}

run_javascript() {
  install_javascript
  local log=$scratch/javascript.log status=0
  PROA_CLIENT_NODE=$cache/node/ node --test --test-concurrency=1 --test-reporter=tap "$here/javascript/" 2>&1 | tee "$log" || status=$?
  tally "$log" '^# pass [0-9]+' '^# fail [0-9]+'
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}

run_go() {
  local log=$scratch/go.log status=0
  (cd "$here/go" && "$(go_tool)" test -mod=readonly -count=1 -timeout=300s -json . | python3 "$here/go/tell.py") 2>&1 | tee "$log" || status=$?
  tally "$log" '^[0-9]+ passed' '[0-9]+ failed$'
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}

run_java() {
  local log=$scratch/java.log status=0 reports=$cache/java/surefire-reports maven
  maven=(mvn --batch-mode --quiet --file "$here/java/pom.xml" "-Dproa.build=$cache/java")
  # What is there already is not asked for again.
  cmp -s "$here/java/pom.xml" "$cache/java/pom.xml" && maven+=(--offline)
  rm -rf "$reports"
  "${maven[@]}" test 2>&1 | tee "$log" || status=$?
  mkdir -p "$cache/java"
  if [ "$status" -eq 0 ]; then cp "$here/java/pom.xml" "$cache/java/pom.xml"; fi
  grep -hoE '<testsuite [^>]*' "$reports"/*.xml 2>/dev/null | awk '
    function of(name) { return match($0, " " name "=\"[0-9]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : 0 }
    { failed += of("errors") + of("failures"); passed += of("tests") - of("errors") - of("failures") - of("skipped") }
    END { print passed + 0 " passed, " failed + 0 " failed" }' | tee "$log"
  tally "$log" '^[0-9]+ passed' '[0-9]+ failed$'
  [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}

start_redis
for language in "${@:-python javascript go java}"; do
  for one in $language; do "run_$one"; done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

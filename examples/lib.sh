# What every run.sh here begins with. Sourced; sets `here`, `bin` (the sidecar: PROA_BIN, or bin/daprd of this repository) and `work` (a folder that
# is gone in the end), and ends what was started when the script ends.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${PROA_BIN:-$here/../../bin/daprd}
bin=$(cd "$(dirname "$bin")" && pwd)/$(basename "$bin")
work=$(mktemp -d)
started=()

finish() {
  trap '' INT TERM
  local pid
  for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
  for pid in ${started[@]+"${started[@]}"}; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 0' INT TERM

# free_port VARIABLE ...: sets each to a port that is free now, from below those that the system gives to outgoing connections.
taken=" "
free_port() {
  local variable number
  for variable in "$@"; do
    while :; do
      number=$((12000 + RANDOM % 20000))
      case $taken in *" $number "*) continue ;; esac
      (exec 3<>"/dev/tcp/127.0.0.1/$number") 2>/dev/null || break
    done
    taken+="$number "
    printf -v "$variable" %s "$number"
  done
}

# sidecar NAME FOLDER HTTP_PORT FLAG...: starts one in the folder, with its log in $work/NAME.log; sets `pid`.
sidecar() {
  local name=$1 folder=$2 port=$3
  shift 3
  (cd "$folder" && exec "$bin" --app-id "$name" --dapr-http-port "$port" --dapr-listen-addresses 127.0.0.1 "$@") >>"$work/$name.log" 2>&1 &
  pid=$!
  started+=("$pid")
}

# healthy NAME PORT: waits until the sidecar that was started last answers.
healthy() {
  local _
  for _ in $(seq 150); do
    curl -fs "http://127.0.0.1:$2/v1.0/healthz" >/dev/null 2>&1 && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.2
  done
  fail "the sidecar $1 did not start"
}

# ended PID [SIGNAL]: ends one of what was started and waits for it; its status is the status.
ended() {
  kill "-${2:-TERM}" "$1"
  local status=0 other left=()
  wait "$1" || status=$?
  for other in "${started[@]}"; do [ "$other" = "$1" ] || left+=("$other"); done
  started=(${left[@]+"${left[@]}"})
  return $status
}

# Shows the last lines of every log and fails.
fail() {
  echo "FAILED: $*" >&2
  local log
  for log in "$work"/*.log; do
    [ -f "$log" ] || continue
    echo "--- $(basename "$log"):" >&2
    tail -20 "$log" >&2
  done
  exit 1
}

# expect WHAT WANTED GOT
expect() {
  [ "$2" = "$3" ] || fail "$1: wanted <$2>, got <$3>"
  echo "ok: $1"
}

# forever NAME: shows a log until Ctrl-C.
forever() {
  echo "Ctrl-C ends it."
  tail -f "$work/$1.log" &
  started+=("$!")
  wait "$pid" || true
  fail "the sidecar ended"
}

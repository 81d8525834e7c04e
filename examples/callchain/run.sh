#!/usr/bin/env bash
# Starts the chain's three services under tracerun, sends one request through all of them, stops
# them and prints the request's way. Works from any folder; takes `tracerun` and `python` from PATH.
#
#   GATEWAY_PORT, ORDERS_PORT, INVENTORY_PORT   ports on loopback; free ones if unset
#   RUNNER                                      the command to run each program with, `tracerun` if
#                                               unset; empty runs the programs plain
#
# All OTEL_* and TRACERUN_* variables reach the programs as they are.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
read -ra runner <<<"${RUNNER-tracerun}"
start_seconds=30
stop_seconds=10
work= # a temporary folder for the services' logs

# A proxy from the environment must not come between programs on this machine.
export NO_PROXY="127.0.0.1${NO_PROXY:+,$NO_PROXY}" no_proxy="127.0.0.1${no_proxy:+,$no_proxy}"

started=() # the pids of what runs
client=

main() {
  choose_ports
  touch "$work/begun"
  export INVENTORY_ADDRESS="127.0.0.1:$INVENTORY_PORT" ORDERS_URL="http://127.0.0.1:$ORDERS_PORT"

  start inventory "$INVENTORY_PORT" python "$here/inventory.py" "$INVENTORY_ADDRESS"
  start orders "$ORDERS_PORT" uvicorn --app-dir "$here" orders:app --port "$ORDERS_PORT"
  start gateway "$GATEWAY_PORT" flask --app "$here/gateway.py" run --port "$GATEWAY_PORT"
  # In the background, because bash runs no trap while it waits for a command in the foreground.
  named client python "$here/client.py" "http://127.0.0.1:$GATEWAY_PORT" &
  client=$!
  wait "$client" || fail "the client failed"
  client=

  stop_services || fail "not every service stopped when asked to, so spans may be missing"
  if ((${#runner[@]})); then show; fi
}

choose_ports() {
  local free gateway orders inventory
  free=$(python -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]  # all open at once, so that all differ
print(*(server.getsockname()[1] for server in held))
')
  read -r gateway orders inventory <<<"$free"
  : "${GATEWAY_PORT:=$gateway}" "${ORDERS_PORT:=$orders}" "${INVENTORY_PORT:=$inventory}"
}

# named NAME COMMAND...: becomes COMMAND, traced as NAME. The pid stays the same.
named() {
  local name=$1
  shift
  trap '' INT # Ctrl-C is for this script, which then asks every program to stop
  if ((${#runner[@]})); then exec "${runner[@]}" -n "$name" "$@"; fi
  exec "$@"
}

# start NAME PORT COMMAND...: runs a service and returns as soon as it listens.
start() {
  local name=$1 port=$2 deadline=$((SECONDS + start_seconds)) pid
  shift 2
  if listens "$port"; then fail "$name: port $port is taken"; fi
  named "$name" "$@" >"$work/$name.log" 2>&1 </dev/null &
  pid=$!
  started+=("$pid")
  until listens "$port"; do
    kill -0 "$pid" 2>/dev/null || fail "$name ended before it listened on port $port"
    ((SECONDS < deadline)) || fail "$name did not listen on port $port within $start_seconds s"
    sleep 0.05
  done
}

# A bare connection: no request, so no span.
listens() {
  (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Asks every service to stop; kills what is still there after stop_seconds, and then returns 1.
stop_services() {
  local deadline=$((SECONDS + stop_seconds)) pid late=0
  for pid in ${started[@]+"${started[@]}"}; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in ${started[@]+"${started[@]}"}; do
    while kill -0 "$pid" 2>/dev/null; do
      if ((SECONDS >= deadline)); then
        kill -KILL "$pid" 2>/dev/null || true
        late=1
        break
      fi
      sleep 0.05
    done
    wait "$pid" 2>/dev/null || true
  done
  started=()
  return "$late"
}

# The spans are in files only if they went nowhere else; an older run's trace would mislead.
show() {
  local files=${TRACERUN_DIR:-${XDG_STATE_HOME:-${HOME:-}/.local/state}/tracerun}
  if [[ -n $(find "$files" -name "*.jsonl" -newer "$work/begun" 2>/dev/null) ]]; then
    "${runner[@]}" --show last
  else
    echo "No span files were written: the spans went to a collector, or where OTEL_* and TRACERUN_* say."
  fi
}

fail() {
  local log
  echo "run.sh: $1" >&2
  for log in "$work"/*.log; do
    if [[ -s $log ]]; then
      echo "--- $(basename "$log" .log) ---" >&2
      cat "$log" >&2
    fi
  done
  exit 1
}

cleanup() {
  trap '' HUP INT TERM
  if [[ -n $client ]]; then started+=("$client"); fi
  stop_services || true
  if [[ -n $work ]]; then rm -rf "$work"; fi
}

trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap cleanup EXIT
work=$(mktemp -d)
main

#!/bin/sh
# What `make demo` shows: a real flow runs, then its record is read: the runs, this run, and one of
# the files that do not parse, with the traceback and the values of the local variables.
set -eu
cd "$(dirname "$0")/.."

show() {
  printf '\n$ flowdeck %s\n' "$*"
  flowdeck "$@"
}

show run examples/stdlib_census.py:census
show runs --limit 5
show show @last
failed=$(flowdeck tasks @last state:failed --limit 1 --json |
  python -c 'import json, sys; print(json.loads(sys.stdin.readline())["id"])')
show task "$failed"
printf '\nThe record is in %s. Open it: FLOWDECK_HOME=%s .venv/bin/flowdeck\n' \
  "$FLOWDECK_HOME" "$FLOWDECK_HOME"

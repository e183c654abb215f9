#!/bin/sh
# What `make demo` shows: a real flow runs, then its record is read: the newest runs, this run, and
# one of the files that do not parse, with the traceback and the values of the variables.
set -eu
cd "$(dirname "$0")/.."

show() {
  printf '\n$ flowdeck %s\n' "$*"
  flowdeck "$@"
}

# On a terminal the run draws its progress; elsewhere its 2,500 log lines would hide the rest.
if [ -t 2 ]; then
  show run examples/stdlib_census.py:census
else
  show run --quiet examples/stdlib_census.py:census
fi
show runs --limit 5
show show @last
failed=$(flowdeck tasks @last state:failed task:measure --limit 1 --json |
  python -c 'import json, sys; print((json.loads(sys.stdin.readline() or "{}")).get("id", ""))')
if [ -n "$failed" ]; then
  show task "$failed"
fi
printf '\nAll this was read from %s, as in any other terminal. The app shows it live:\n' \
  "$FLOWDECK_HOME"
printf '  FLOWDECK_HOME=%s .venv/bin/flowdeck\n' "$FLOWDECK_HOME"

"""Programs in the place of systemctl and crontab, and the verb."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner

from flowdeck_app.cli.root import flowdeck

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$HELD/systemctl.log"
"""
CRONTAB = """#!/bin/sh
if [ "$1" = -l ]; then
  if [ -f "$HELD/refuses" ]; then echo "you are not allowed to use this program" >&2; exit 1; fi
  if [ -f "$HELD/crontab" ]; then cat "$HELD/crontab"; else echo "no crontab for me" >&2; exit 1; fi
else
  cat > "$HELD/crontab"
fi
"""


def schedule(*args: str) -> Any:
    return CliRunner().invoke(flowdeck, ["schedule", *args], prog_name="flowdeck")


def made(*args: str) -> dict[str, Any]:
    result = schedule(*args, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


DAILY = ("etl.py:etl", "--cron", "0 6 * * *")

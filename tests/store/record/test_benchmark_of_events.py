"""The benchmark of the record runs, and finds everything recorded once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "store_events.py"


@pytest.mark.slow
def test_a_short_run_of_the_benchmark_records_every_event_once() -> None:
    command = [sys.executable, str(SCRIPT), "--seconds"]
    done = subprocess.run([*command, "0.4", "--json"], capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    assert len(results) == 6
    for name, result in results.items():
        assert result["all_recorded_once"], name
        assert result["events"] > 0, name
        assert result["visible_ms"]["p50"] > 0, name
        assert result["emit_us_p50"] < 1000, name
    text = subprocess.run([*command, "0.4"], capture_output=True, text=True, check=True).stdout
    assert "8 processes" in text

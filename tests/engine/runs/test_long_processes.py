"""A process that runs flows for days: nothing of a flow run stays in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "long_process.py"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sync", "async"])
# A pool of two is the same pool: `make test-all` looks at it too.
@pytest.mark.parametrize(
    "runner", ["sequential", "concurrent", pytest.param("two", marks=pytest.mark.long)]
)
def test_2000_runs_leave_no_thread_no_descriptor_and_no_memory(runner: str, kind: str) -> None:
    command = [sys.executable, str(SCRIPT), "--json", "--runner", f"{runner}/{kind}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    looks = json.loads(done.stdout)[f"{runner}/{kind}"]
    early, late = looks[len(looks) // 3], looks[-1]
    assert late["runs"] == 2000
    assert late["threads"] <= early["threads"] + 4
    assert late["fds"] <= early["fds"] + 2
    assert late["objects"] <= early["objects"] + 1000
    assert late["mb"] <= early["mb"] + 20

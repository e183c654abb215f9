"""The leaf modules of the engine are cheap to import: heavy packages come when first needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"anyio", "asyncio", "cloudpickle", "coolname", "pydantic", "sqlite3"}


@pytest.mark.parametrize(
    "module",
    [
        "caching",
        "threads.deadlines",
        "exceptions",
        "failures.capture",
        "runs.names",
        "parameters",
        "values.previews",
        "runs.results",
    ],
)
def test_importing_a_leaf_module_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, flowdeck.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert f"flowdeck.{module}" in loaded
    assert not loaded & HEAVY

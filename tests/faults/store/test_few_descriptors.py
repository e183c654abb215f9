"""Too few file descriptors for an event loop, a store, a module: an error, never a flow that hangs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = textwrap.dedent(
    """
    import asyncio
    from flowdeck import flow, task

    @task
    def one(x): return x

    @task
    async def later(x): return x

    @flow
    def main():
        return one.submit(1).result() + later.submit(1).result() + later(1)

    @flow
    async def async_main():
        return one.submit(1).result() + await (await later.submit(1)).result()

    print(main(), asyncio.run(async_main()))
    """
)


@pytest.mark.parametrize("limit", [12, 13, 14, 15, 17, 20])
def test_a_flow_without_descriptors_ends(limit: int, tmp_path: Path, home: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "FLOWDECK_HOME": str(home), "FLOWDECK_CONSOLE": "false"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout == "3 2\n" if done.returncode == 0 else "Error" in done.stderr

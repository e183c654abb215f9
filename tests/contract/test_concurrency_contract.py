"""Blocks that hold slots, wherever their tasks execute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flowdeck import flow, task
from flowdeck.concurrency import concurrency, rate_limit
from flowdeck_store.record.limits import list_limits, set_limit


@task
def alone(path: str) -> int:
    """Say how many are in the block at once."""
    rate_limit("often")
    with concurrency("db", strict=True):
        with open(path, "a") as file:
            file.write("x")
        found = os.path.getsize(path)
        os.truncate(path, 0)
    return found


def test_blocks_share_the_limits_of_the_record(runner: Any, home: Path, tmp_path: Path) -> None:
    set_limit(home, "db", 1)
    set_limit(home, "often", 2, 200.0)

    @flow(task_runner=runner)
    def f() -> Any:
        return alone.map([str(tmp_path / "file")] * 6).result()

    assert f() == [1] * 6
    assert list_limits(home)[0].in_use == 0

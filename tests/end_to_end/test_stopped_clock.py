"""Flows in tests of users that stop the clock, as freezegun does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

SCRIPT = '''
import asyncio, contextlib, datetime, sys, time

from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

@contextlib.contextmanager
def stopped(at):
    """Put functions that tell always the same in the places of those of `time`, everywhere."""
    fakes = {
        time.time: lambda: at, time.time_ns: lambda: int(at * 1e9),
        time.monotonic: lambda: at, time.monotonic_ns: lambda: int(at * 1e9),
        time.perf_counter: lambda: at, time.perf_counter_ns: lambda: int(at * 1e9),
    }
    changed = []
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            with contextlib.suppress(TypeError):  # not hashable
                if value in fakes:
                    changed.append((module, name, value))
                    setattr(module, name, fakes[value])
    assert time.monotonic() == at
    try:
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)

def flows(runner, delay):
    """A flow and an async one, of which each try is the second one, with a task of that kind."""
    again = {"retries": 1, "retry_delay_seconds": delay}
    seen = set()

    def first(name):
        is_first = name not in seen
        seen.add(name)
        return is_first

    @task(**again)
    def fetch(name):
        if first(name):
            raise ValueError(name)
        return name

    @task(**again)
    async def fetch_async(name):
        if first(name):
            raise ValueError(name)
        return name

    @flow(task_runner=runner, **again)
    def f():
        if first("f"):
            raise ValueError("f")
        return fetch.submit("a").result(), fetch_async.submit("b").result(), fetch("c")

    @flow(task_runner=runner, **again)
    async def f_async():
        if first("f_async"):
            raise ValueError("f_async")
        return await (await fetch_async.submit("d")).result(), await fetch_async("e"), fetch("g")

    return f, f_async

with stopped(1_700_000_000.0):
    for runner in (SequentialTaskRunner(), ConcurrentTaskRunner(), ConcurrentTaskRunner(1)):
        for delay in (0, 0.01):
            f, f_async = flows(runner, delay)
            assert f() == ("a", "b", "c")
            assert asyncio.run(f_async()) == ("d", "e", "g")
print("done")
'''


def test_retries_go_on_while_the_clock_of_the_test_stands_still(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "FLOWDECK_HOME": str(tmp_path / "home"), "FLOWDECK_CONSOLE": "false"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr

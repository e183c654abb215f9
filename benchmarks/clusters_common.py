"""What the engines' cases of ``clusters.py`` have in common: the tasks, and flowdeck's flows."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import psutil

from flowdeck import flow, task

#: Size of the value that goes from one task to another.
BIG = 100_000_000


def nop(x: Any) -> Any:
    return x


def ten_ms(x: Any) -> Any:
    time.sleep(0.01)
    return x


def count(xs: Any) -> int:
    return len(xs)


def flows(runner: Any) -> dict[str, Any]:
    """Return the flow of each case."""
    nop_task, ten_ms_task, count_task = task(nop), task(ten_ms), task(count)

    @flow(task_runner=runner)
    def wide(n: int) -> None:
        for i in range(n):
            nop_task.submit(i)

    @flow(task_runner=runner)
    def wide_10_ms(n: int) -> None:
        for i in range(n):
            ten_ms_task.submit(i)

    @flow(task_runner=runner)
    def chain(n: int) -> Any:
        x: Any = 0
        for _ in range(n):
            x = nop_task.submit(x)
        return x.result()

    @flow(task_runner=runner)
    def fan_in(n: int) -> Any:
        return count_task.submit([nop_task.submit(i) for i in range(n)]).result()

    return {"wide no-op": wide, "wide 10 ms": wide_10_ms, "chain": chain, "fan-in": fan_in}


def through_driver(runner: Any, apart: Any = contextlib.nullcontext) -> dict[str, int]:
    """Pass 100 MB from one task to another; return what this process read and wrote meanwhile.

    Args:
        runner: a task runner.
        apart: a context that keeps the two tasks on different workers, if the engine has one.
    """
    make = task(lambda: bytearray(BIG))
    size = task(lambda x: len(x))

    @flow(task_runner=runner)
    def pass_on() -> int:
        size.submit(make.submit()).result()  # warm
        before = _io()
        with apart():
            assert size.submit(make.submit()).result() == BIG
        return _io() - before

    return {"through_driver": pass_on()}


def _io() -> int:
    counters = psutil.Process().io_counters()
    return int(counters.read_chars + counters.write_chars)

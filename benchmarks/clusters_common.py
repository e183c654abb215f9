"""What the engines' cases of ``clusters.py`` have in common: the tasks, and flowdeck's flows."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import time
from typing import Any

import psutil

from flowdeck import flow, task, unmapped

#: Size of the value that goes from one task to another.
BIG = 100_000_000
#: Of the argument that all tasks of a case share.
SHARED = 8_000_000


def nop(x: Any) -> Any:
    return x


def ten_ms(x: Any) -> Any:
    time.sleep(0.01)
    return x


def count(xs: Any) -> int:
    return len(xs)


class Array:
    """Pickles as arrays do: what is big stays outside of the pickle."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Array, (pickle.PickleBuffer(self.data) if protocol >= 5 else self.data,)


def array(*, fixed: bool = False) -> Array:
    """Return the argument that all tasks of a case share; ``fixed``: it is read-only."""
    return Array(bytes(SHARED) if fixed else bytearray(SHARED))


def read(array: Array, i: int) -> int:
    """Look at all of an array."""
    return len(hashlib.sha1(array.data, usedforsecurity=False).digest()) + i


def flows(runner: Any, *, fixed: bool = False) -> dict[str, Any]:
    """Return the flow of each case; ``fixed``: what tasks share is read-only."""
    nop_task, ten_ms_task, count_task, read_task = task(nop), task(ten_ms), task(count), task(read)

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

    @flow(task_runner=runner)
    def shared(n: int) -> None:
        read_task.map(unmapped(array(fixed=fixed)), range(n))

    @flow(task_runner=runner)
    def shared_submitted(n: int) -> None:
        same = array(fixed=fixed)
        for i in range(n):
            read_task.submit(same, i)

    return {
        "wide no-op": wide, "wide 10 ms": wide_10_ms, "chain": chain, "fan-in": fan_in,
        "shared 8 MB, map": shared, "shared 8 MB, submit": shared_submitted,
    }  # fmt: skip


def shared_ones(of: dict[str, Any]) -> dict[str, Any]:
    """Return those cases in which tasks share an argument."""
    return {case: function for case, function in of.items() if case.startswith("shared")}


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

"""The cases of ``clusters.py`` on Ray: two CPUs of a temporary instance that both sides share."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import psutil
import ray

from flowdeck import flow, task
from flowdeck.task_runners import RayTaskRunner
from flowdeck.task_runners.ray_instance import TemporaryInstance

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Wall time of 3,000 no-op tasks in a row, as a ratio to raw Ray with equal settings.
BUDGET = 1.3


def nop(x: Any) -> Any:
    return x


def ten_ms(x: Any) -> Any:
    time.sleep(0.01)
    return x


def count(*xs: Any) -> int:
    return len(xs)


def _count(xs: Any) -> int:
    return len(xs)


def _raw(**options: Any) -> dict[str, Any]:
    remote = {
        function: ray.remote(**options)(function) if options else ray.remote(function)
        for function in (nop, ten_ms, count)
    }

    def wide(function: Any) -> Any:
        def run(n: int) -> None:
            ray.get([remote[function].remote(i) for i in range(n)])

        return run

    def chain(n: int) -> None:
        x: Any = 0
        for _ in range(n):
            x = remote[nop].remote(x)
        ray.get(x)

    def fan_in(n: int) -> None:
        ray.get(remote[count].remote(*[remote[nop].remote(i) for i in range(n)]))

    return {
        "wide no-op": wide(nop), "wide 10 ms": wide(ten_ms), "chain": chain, "fan-in": fan_in,
    }  # fmt: skip


def _flowdeck(runner: Any) -> dict[str, Any]:
    nop_task, ten_ms_task, count_task = task(nop), task(ten_ms), task(_count)

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


@contextlib.contextmanager
def _instance() -> Iterator[None]:
    instance = TemporaryInstance({"num_cpus": 2, "namespace": "flowdeck"})
    try:
        yield
    finally:
        instance.close()


@contextlib.contextmanager
def cases() -> Iterator[dict[str, dict[str, Any]]]:
    """Start one instance; the process is connected to it, so flow runs use it."""
    with _instance():
        raw, defaults, ours = _raw(max_retries=0), _raw(), _flowdeck(RayTaskRunner())
        yield {
            name: {"raw": raw[name], "flowdeck": ours[name], "raw-defaults": defaults[name]}
            for name in raw
        }


def big_value() -> dict[str, int]:
    """Pass 100 MB from one task to another; return what this process read and wrote meanwhile."""
    make = task(lambda: bytearray(100_000_000))
    size = task(lambda x: len(x))

    @flow(task_runner=RayTaskRunner())
    def pass_on() -> int:
        size.submit(make.submit()).result()  # warm
        before = _io()
        assert size.submit(make.submit()).result() == 100_000_000
        return _io() - before

    with _instance():
        return {"through_driver": pass_on()}


def _io() -> int:
    counters = psutil.Process().io_counters()
    return int(counters.read_chars + counters.write_chars)

"""The cases of ``clusters.py`` on Dask: two workers of one thread each, as processes."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import dask
import psutil
from distributed import Client, LocalCluster

from flowdeck import flow, task
from flowdeck.task_runners import DaskTaskRunner
from flowdeck.task_runners.dask_cluster import _settings

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Wall time of 3,000 no-op tasks in a row, as a ratio to raw Dask with equal settings.
BUDGET = 1.15


def nop(x: Any) -> Any:
    return x


def ten_ms(x: Any) -> Any:
    time.sleep(0.01)
    return x


def count(xs: Any) -> int:
    return len(xs)


def _cluster(**settings: Any) -> Any:
    with dask.config.set(settings):
        return LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        )


def _raw(client: Client) -> dict[str, Any]:
    def wide(function: Any) -> Any:
        def run(n: int) -> None:
            client.gather(
                [client.submit(function, i, pure=False, fifo_timeout="0ms") for i in range(n)]
            )

        return run

    def chain(n: int) -> None:
        x: Any = 0
        for _ in range(n):
            x = client.submit(nop, x, pure=False)
        x.result()

    def fan_in(n: int) -> None:
        parts = [client.submit(nop, i, pure=False, fifo_timeout="0ms") for i in range(n)]
        client.submit(count, parts, pure=False).result()

    return {
        "wide no-op": wide(nop), "wide 10 ms": wide(ten_ms), "chain": chain, "fan-in": fan_in,
    }  # fmt: skip


def _flowdeck(runner: Any) -> dict[str, Any]:
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


@contextlib.contextmanager
def cases() -> Iterator[dict[str, dict[str, Any]]]:
    """Start one cluster as flowdeck does and one as Dask does."""
    with (
        _cluster(**_settings(None)) as tuned,
        _cluster() as plain,
        Client(tuned, set_as_default=False) as client,
        Client(plain, set_as_default=False) as plain_client,
    ):
        raw, defaults = _raw(client), _raw(plain_client)
        ours = _flowdeck(DaskTaskRunner(cluster=tuned))
        yield {
            name: {"raw": raw[name], "flowdeck": ours[name], "raw-defaults": defaults[name]}
            for name in raw
        }


def big_value() -> dict[str, int]:
    """Pass 100 MB from one task to another; return what this process read and wrote meanwhile."""
    make = task(lambda: bytearray(100_000_000))
    size = task(lambda x: len(x))

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1}))
    def pass_on() -> int:
        size.submit(make.submit()).result()  # warm
        before = _io()
        with dask.annotate(allow_other_workers=False):
            assert size.submit(make.submit()).result() == 100_000_000
        return _io() - before

    return {"through_driver": pass_on()}


def _io() -> int:
    counters = psutil.Process().io_counters()
    return int(counters.read_chars + counters.write_chars)

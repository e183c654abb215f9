"""The cases of ``clusters.py`` in processes of this machine: two workers of a ``ProcessTaskRunner``, beside
two of the standard library's ``ProcessPoolExecutor`` and two of a Dask ``LocalCluster``.

The pool knows nothing of tasks that need each other: who writes the raw version of a chain by hand
waits for each. Nor can two of its tasks share an argument, so there Dask is what flowdeck is compared
with.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from clusters_common import count, flows, nop, shared_ones, ten_ms, through_driver

from flowdeck.task_runners import ProcessTaskRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORKERS = 2
#: Wall time of 3,000 no-op tasks in a row, as a ratio to the pool of the standard library, which takes a
#: tenth of a millisecond for each and records nothing.
BUDGET = 5.0


def _raw(pool: ProcessPoolExecutor) -> dict[str, Any]:
    def wide(function: Any) -> Any:
        def run(n: int) -> None:
            for future in [pool.submit(function, i) for i in range(n)]:
                future.result()

        return run

    def chain(n: int) -> None:
        x: Any = 0
        for _ in range(n):
            x = pool.submit(nop, x).result()

    def fan_in(n: int) -> None:
        parts = [pool.submit(nop, i) for i in range(n)]
        pool.submit(count, [part.result() for part in parts]).result()

    return {
        "wide no-op": wide(nop), "wide 10 ms": wide(ten_ms), "chain": chain, "fan-in": fan_in,
    }  # fmt: skip


def _mapped(pool: ProcessPoolExecutor) -> dict[str, Any]:
    """What the pool can do at best: all tasks known beforehand, many in a message."""

    def wide(function: Any) -> Any:
        return lambda n: list(pool.map(function, range(n), chunksize=max(n // 20, 1)))

    return {"wide no-op": wide(nop), "wide 10 ms": wide(ten_ms)}


@contextlib.contextmanager
def _dask() -> Iterator[dict[str, Any]]:
    """Raw Dask, where that is installed."""
    try:
        import clusters_dask
    except ImportError:
        yield {}
        return
    with clusters_dask.raw() as variants:
        yield variants


@contextlib.contextmanager
def cases() -> Iterator[dict[str, dict[str, Any]]]:
    """Start the pool and the cluster; flowdeck's workers start by themselves."""
    runner = ProcessTaskRunner(max_workers=_WORKERS)
    with ProcessPoolExecutor(_WORKERS) as pool, _dask() as dask:
        variants = {
            "raw": {**shared_ones(dask), **_raw(pool)},
            "flowdeck": flows(runner),
            "read-only": shared_ones(flows(runner, fixed=True)),
            "raw-map": _mapped(pool),
            "raw-dask": {case: dask[case] for case in dask.keys() - shared_ones(dask).keys()},
        }
        yield {
            case: {name: of[case] for name, of in variants.items() if case in of}
            for case in flows(runner)
            if case in variants["raw"]
        }


def big_value() -> dict[str, int]:
    """Return what a value of 100 MB costs this process."""
    return through_driver(ProcessTaskRunner(max_workers=_WORKERS))

"""The cases of ``clusters.py`` on Dask: two workers of one thread each, as processes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import dask
from clusters_common import array, count, flows, nop, read, shared_ones, ten_ms, through_driver
from distributed import Client, LocalCluster

from flowdeck.task_runners import DaskTaskRunner
from flowdeck.task_runners._dask.cluster import _settings

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Wall time of 3,000 no-op tasks in a row, as a ratio to raw Dask with equal settings.
BUDGET = 1.15


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

    def shared(n: int) -> None:
        [there] = client.scatter([array()], hash=False)
        client.gather(client.map(read, [there] * n, range(n), pure=False, fifo_timeout="0ms"))

    def shared_submitted(n: int) -> None:
        [there] = client.scatter([array()], hash=False)
        client.gather(
            [client.submit(read, there, i, pure=False, fifo_timeout="0ms") for i in range(n)]
        )

    return {
        "wide no-op": wide(nop), "wide 10 ms": wide(ten_ms), "chain": chain, "fan-in": fan_in,
        "shared 8 MB, map": shared, "shared 8 MB, submit": shared_submitted,
    }  # fmt: skip


def _mapped(client: Client) -> dict[str, Any]:
    """What raw Dask can do at best: all tasks at once, known beforehand."""

    def wide(function: Any) -> Any:
        return lambda n: client.gather(
            client.map(function, range(n), pure=False, fifo_timeout="0ms")
        )

    return {"wide no-op": wide(nop), "wide 10 ms": wide(ten_ms)}


@contextlib.contextmanager
def raw() -> Iterator[dict[str, Any]]:
    """Start a cluster as Dask does, for its raw variants beside another engine."""
    with _cluster() as cluster, Client(cluster, set_as_default=False) as client:
        yield _raw(client)


@contextlib.contextmanager
def cases() -> Iterator[dict[str, dict[str, Any]]]:
    """Start one cluster as flowdeck does and one as Dask does."""
    with (
        _cluster(**_settings(None)) as tuned,
        _cluster() as plain,
        Client(tuned, set_as_default=False) as client,
        Client(plain, set_as_default=False) as plain_client,
    ):
        variants = {
            "raw": _raw(client),
            "flowdeck": flows(DaskTaskRunner(cluster=tuned)),
            "read-only": shared_ones(flows(DaskTaskRunner(cluster=tuned), fixed=True)),
            "raw-map": _mapped(client),
            "raw-defaults": _raw(plain_client),
        }
        yield {
            case: {name: of[case] for name, of in variants.items() if case in of}
            for case in variants["raw"]
        }


def big_value() -> dict[str, int]:
    """Return what a value of 100 MB costs this process."""
    runner = DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1})
    return through_driver(runner, lambda: dask.annotate(allow_other_workers=False))

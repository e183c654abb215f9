"""The cases of ``clusters.py`` on Ray: two CPUs of a temporary instance that both sides share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import ray
from clusters_common import array, flows, nop, read, shared_ones, ten_ms, through_driver

from flowdeck.task_runners import RayTaskRunner
from flowdeck.task_runners._ray.instance import TemporaryInstance

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Wall time of 3,000 no-op tasks in a row, as a ratio to raw Ray with equal settings.
BUDGET = 1.3


def count(*xs: Any) -> int:
    return len(xs)


def _raw(**options: Any) -> dict[str, Any]:
    remote = {
        function: ray.remote(**options)(function) if options else ray.remote(function)
        for function in (nop, ten_ms, count, read)
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

    def shared(n: int) -> None:
        there = ray.put(array())
        ray.get([remote[read].remote(there, i) for i in range(n)])

    return {
        "wide no-op": wide(nop), "wide 10 ms": wide(ten_ms), "chain": chain, "fan-in": fan_in,
        "shared 8 MB, map": shared, "shared 8 MB, submit": shared,
    }  # fmt: skip


def variants() -> dict[str, dict[str, Any]]:
    """Return the cases of the Ray that this process is connected to; flow runs use it too."""
    raw, defaults, ours = _raw(max_retries=0), _raw(), flows(RayTaskRunner())
    fixed = shared_ones(flows(RayTaskRunner(), fixed=True))
    of = {"raw": raw, "flowdeck": ours, "read-only": fixed, "raw-defaults": defaults}
    return {case: {name: o[case] for name, o in of.items() if case in o} for case in raw}


@contextlib.contextmanager
def cases() -> Iterator[dict[str, dict[str, Any]]]:
    """Start one instance."""
    instance = TemporaryInstance({"num_cpus": 2, "namespace": "flowdeck"})
    try:
        yield variants()
    finally:
        instance.close()


def big_value() -> dict[str, int]:
    """Return what a value of 100 MB costs this process."""
    return through_driver(RayTaskRunner())
